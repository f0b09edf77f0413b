import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { accessSetting } from '../access/access-setting.ts'
import { lastGoodBounds } from './last-good.ts'
import { policy } from './policy-input.ts'

const read = (page: string) =>
  readFileSync(new URL(`../../../../docs/reference/${page}`, import.meta.url), 'utf8')

/** What is in code fences of JSON. */
const examples = (text: string): unknown[] =>
  Array.from(text.matchAll(/^```json\n([\s\S]*?)^```/gm), ([, json = '']) => JSON.parse(json))

/** The fields that an error says there are. */
function fieldsSaid(attempt: () => unknown): string[] {
  try {
    attempt()
    return []
  } catch (error) {
    return (error as Error).message.replace(/^.*: /, '').split(', ')
  }
}

describe('docs/reference/gateway-policy.md', () => {
  const text = read('gateway-policy.md')

  it('has an example that is one', () => {
    const [example] = examples(text) as { services: { tickets: unknown } }[]
    expect(Object.keys(policy('policy', example?.services.tickets))).toHaveLength(5)
  })

  it('has every field', () => {
    const known = [
      ...fieldsSaid(() => policy('p', { x: 1 })),
      ...fieldsSaid(() => policy('p', { rate: { x: 1 } })),
      ...fieldsSaid(() => policy('p', { circuit: { x: 1 } })),
      ...fieldsSaid(() => policy('p', { canary: { x: 1 } })),
      ...fieldsSaid(() => policy('p', { canary: { select: { x: 1 } } })),
      ...['static', 'service', 'last-good'].flatMap((type) =>
        fieldsSaid(() => policy('p', { fallback: { type, x: 1 } })),
      ),
    ]
    expect(known.length).toBeGreaterThan(20)
    for (const field of known.filter((name) => name !== 'type')) expect(text).toContain(`\`${field}\``)
  })

  it('has the bounds', () => {
    const { answerBytes, bytes, variants } = lastGoodBounds
    expect(text).toContain(`at most ${answerBytes / 2 ** 20} MB each and ${bytes / 2 ** 20} MB in all`)
    expect(text).toContain(`at most ${variants} that differ`)
  })
})

describe('docs/reference/gateway-access.md', () => {
  const text = read('gateway-access.md')

  it('has an example that is one', () => {
    const [example] = examples(text) as { access: unknown }[]
    expect(accessSetting('access', example?.access, '/').cookie).toBe('session')
  })

  it('has every field', () => {
    const known = fieldsSaid(() => accessSetting('access', { x: 1 }, '/'))
    expect(known).toHaveLength(9)
    for (const field of known) expect(text).toMatch(new RegExp(`^\\| \`${field}\` \\|`, 'm'))
  })
})
