import { Ajv, type ValidateFunction } from 'ajv'
import { expect, it } from 'vitest'
import { type Answered, instancePath, type Serving, servicePath, serving } from '../test/serving.ts'

it('describes every route in OpenAPI 3.1, with schemas that resolve', async () => {
  await using served = await serving()
  const { json: document } = await served.ask('GET', '/openapi.json')
  expect(document.openapi).toMatch(/^3\.1\./)
  expect(document.info).toMatchObject({ title: 'Seamark', version: expect.any(String) })
  expect(Object.keys(document.components.schemas).sort()).toEqual(['Entry', 'Error', 'Holder'])
  for (const reference of references(document))
    expect(document.components.schemas).toHaveProperty(reference.replace('#/components/schemas/', ''))
  const tags = new Set(document.tags.map(({ name }: { name: string }) => name))
  for (const [path, methods] of Object.entries<Record<string, Operation>>(document.paths))
    for (const [method, operation] of Object.entries(methods)) {
      const where = `${method} ${path}`
      expect(operation.summary, where).toEqual(expect.any(String))
      expect(
        operation.tags.every((tag) => tags.has(tag)),
        where,
      ).toBe(true)
      expect(
        Object.values(operation.responses).every(({ description }) => description !== ''),
        where,
      ).toBe(true)
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
      expect(
        inPath.map(({ name }) => name),
        where,
      ).toEqual(named)
      expect(
        inPath.every(({ required }) => required),
        where,
      ).toBe(true)
    }
})

it('answers as it says', async () => {
  await using served = await serving()
  const conforms = await conformity(served)
  const id = '/api/v1/namespaces/{namespace}/services/{service}/instances/{id}'
  const checks = [{ type: 'tcp', interval: '1h' }]
  const fields = {
    port: 1,
    version: '1.0.0',
    zone: 'eu',
    tags: ['a'],
    metadata: { a: 'b' },
    checks,
    ttl: '1h',
  }
  const created = await served.ask('PUT', instancePath('api', 'a'), fields)
  const { token } = created.json.lease
  conforms('put', id, created)
  conforms('put', id, await served.ask('PUT', instancePath('api', 'b'), { port: 1 }))
  conforms('put', id, await served.ask('PUT', instancePath('api', 'b'), { port: 2 }))
  conforms('put', id, await served.ask('PUT', instancePath('api', 'b'), {}))
  conforms('get', id, await served.ask('GET', instancePath('api', 'a')))
  conforms('get', id, await served.ask('GET', instancePath('api', 'none')))
  conforms(
    'put',
    `${id}/maintenance`,
    await served.ask('PUT', `${instancePath('api', 'b')}/maintenance`, { enable: false }),
  )
  conforms(
    'put',
    `${id}/health`,
    await served.ask('PUT', `${instancePath('api', 'a')}/health`, {
      checks: [{ id: 'x', status: 'warning' }],
    }),
  )
  conforms(
    'post',
    '/api/v1/leases/renew',
    await served.ask('POST', '/leases/renew', { tokens: [token, 'lost'] }),
  )
  conforms('post', '/api/v1/leases/resume', await served.ask('POST', '/leases/resume', { token }))
  const claim = '/api/v1/namespaces/{namespace}/services/{service}/claims/{name}'
  conforms('put', claim, await served.ask('PUT', `${servicePath('api')}/claims/p`, { token }))
  conforms(
    'get',
    '/api/v1/namespaces/{namespace}/services/{service}',
    await served.ask('GET', servicePath('api')),
  )
  conforms(
    'get',
    '/api/v1/namespaces/{namespace}/services/{service}/instance',
    await served.ask('GET', `${servicePath('api')}/instance`),
  )
  conforms(
    'post',
    `${claim}/release`,
    await served.ask('POST', `${servicePath('api')}/claims/p/release`, { token }),
  )
  conforms(
    'get',
    '/api/v1/namespaces/{namespace}/services',
    await served.ask('GET', '/namespaces/default/services'),
  )
  conforms('get', '/api/v1/namespaces', await served.ask('GET', '/namespaces'))
  const put = { type: 'put', key: 'a', value: 'YQ==', at: 0 }
  for (const _ of ['written', 'refused'])
    conforms('post', '/api/v1/items', await served.ask('POST', '/items', { operations: [put] }))
  conforms('get', '/api/v1/items', await served.ask('GET', '/items'))
  conforms('get', '/api/v1/prometheus', await served.ask('GET', '/prometheus'))
  conforms('get', '/api/v1/status', await served.ask('GET', '/status'))
  conforms('delete', id, await served.ask('DELETE', instancePath('api', 'b')))
  conforms('post', '/api/v1/leases/release', await served.ask('POST', '/leases/release', { token }))
})

it('has a page to read that fetches nothing', async () => {
  await using served = await serving()
  const page = await served.ask('GET', '/docs')
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(page.text).not.toMatch(/<(script|link|img|iframe)|src=|@import|url\(/)
  expect(page.text).toContain('/api/v1/namespaces/{namespace}/services/{service}/instances/{id}')
  expect(page.text).toContain(
    `curl -X PUT 'http://127.0.0.1:8500/api/v1/namespaces/default/services/api/instances/api-1'`,
  )
  expect(page.text).toContain(`-d '{&quot;port&quot;:3000`)
})

interface Operation {
  readonly summary: string
  readonly tags: readonly string[]
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[]
  readonly responses: Record<
    string,
    { readonly description: string; readonly content?: Record<string, { schema: object }> }
  >
}

/** Holds answers against what the document says of them. */
async function conformity(served: Serving) {
  const { json: document } = await served.ask('GET', '/openapi.json')
  const ajv = new Ajv({ strict: false })
  ajv.addSchema({ $id: 'document', ...document })
  const compiled = new Map<string, ValidateFunction>()
  return (method: string, path: string, answer: Answered) => {
    const where = `#/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/${method}/responses`
    const { responses } = document.paths[path][method] as Operation
    const status = answer.status in responses ? answer.status : 'default'
    const reference = `document${encodeURI(where)}/${status}/content/application~1json/schema`
    const validate = compiled.get(reference) ?? ajv.compile({ $ref: reference })
    compiled.set(reference, validate)
    expect(validate(answer.json) || validate.errors, `${method} ${path} ${answer.status}`).toBe(true)
  }
}

function references(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    key === '$ref' ? [String(inner)] : references(inner),
  )
}
