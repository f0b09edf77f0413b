import type { Routes } from './context.ts'
import { type ApiDocument, docsPage } from './docs-page.ts'

/** The API's description, for programs and for people. */
export const docs: Routes = (app, _options, done) => {
  let document: string | undefined
  let page: string | undefined

  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    document ??= JSON.stringify(app.swagger())
    return reply.type('application/json; charset=utf-8').send(document)
  })

  app.get('/docs', { schema: { hide: true } }, async (_request, reply) => {
    page ??= docsPage(app.swagger() as unknown as ApiDocument)
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
      .send(page)
  })

  done()
}
