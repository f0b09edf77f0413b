import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { defaultBounds } from './bounds.ts'

it('documents every bound with its value', () => {
  const page = readFileSync(new URL('../../../../docs/reference/dns.md', import.meta.url), 'utf8')
  const limits = page.slice(page.indexOf('## Limits'), page.indexOf('**Response rate.**'))
  const documented = [...limits.matchAll(/^\| `(\w+)` \| ([\d,]+) \|/gm)].map(([, name, value]) => [
    name,
    value,
  ])
  expect(documented).toEqual(
    Object.entries(defaultBounds).map(([name, value]) => [name, value.toLocaleString('en')]),
  )
})
