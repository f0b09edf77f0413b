import { readFileSync } from 'node:fs'
import { errorCodes, limits } from '@seamark/core'
import { expect, it } from 'vitest'
import { defaultBounds, requestLimits } from './bounds.ts'

const reference = new URL('../../../docs/reference/', import.meta.url)
const page = (name: string) => readFileSync(new URL(name, reference), 'utf8')

/** The cells of every row whose first cell is code. */
function rows(markdown: string): string[][] {
  return markdown
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

it('documents every error code with its status and meaning', () => {
  const documented = rows(page('errors.md')).map(([code, status, meaning]) => [code, status, meaning])
  const real = Object.entries(errorCodes).map(([code, { status, meaning }]) => [
    `\`${code}\``,
    String(status),
    meaning,
  ])
  expect(documented).toEqual(real)
})

it('documents every limit and bound with its value', () => {
  const documented = new Map(rows(page('limits.md')).map(([name, value]) => [name, value]))
  const real = new Map(
    Object.entries({ ...limits, ...requestLimits, ...defaultBounds }).map(([name, value]) => [
      `\`${name}\``,
      value.toLocaleString('en'),
    ]),
  )
  expect([...documented].sort()).toEqual([...real].sort())
})

it('documents every route', async () => {
  const { serving } = await import('../test/serving.ts')
  await using served = await serving()
  const { paths } = (await served.ask('GET', '/openapi.json')).json
  const text = page('http-api.md')
  for (const path of Object.keys(paths))
    expect(text).toContain(path.replace(/^\/api\/v1/, '').replaceAll(/\{(\w+)\}/g, ':$1'))
})
