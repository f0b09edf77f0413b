import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkLabel, checkName, checkNamespaceLabels, checkText, displayName, instanceId } from './names.ts'

function refusal(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

describe('names', () => {
  it.each(['a', 'api', 'a1', 'web-front-2', 'a'.repeat(63)])(
    'takes the DNS label %j for a service',
    (name) => {
      expect(refusal(() => checkLabel('service', name))).toBeUndefined()
    },
  )

  it.each(['', 'A', '1a', '-a', 'a-', 'a_b', 'a.b', 'a'.repeat(64), 'ä', 7, null, undefined])(
    'refuses %j as a label, and names the field',
    (name) => {
      expect(refusal(() => checkLabel('service', name))).toMatch(/^service must be/)
    },
  )

  it.each(['default', 'test.shop', 'a.b.c'])('takes the namespace %j', (name) => {
    expect(refusal(() => checkNamespaceLabels('namespace', name))).toBeUndefined()
  })

  it.each(['', '.', 'a.', '.a', 'a..b', 'Test', 'a b', `${'a.'.repeat(127)}b`])(
    'refuses the namespace %j',
    (name) => {
      expect(refusal(() => checkNamespaceLabels('namespace', name))).toMatch(/^namespace must be/)
    },
  )

  it.each(['127.0.0.1:3000', 'サービス', 'a/b', '%2F', '..', ' ', 'a'.repeat(255), 'é'.repeat(127)])(
    'carries %j, which Consul or Curator allow',
    (name) => {
      expect(refusal(() => checkName('id', name))).toBeUndefined()
    },
  )

  it.each(['', '\n', 'a\u0000', '\u007f', '\u0085', '\ud800', 'a'.repeat(256), 'é'.repeat(128), 1, {}])(
    'refuses %j everywhere',
    (name) => {
      expect(refusal(() => checkName('id', name))).toMatch(/^id must/)
    },
  )

  it('counts bytes, not characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (text, bytes) => {
        const message = refusal(() => checkText('tag', text, bytes)) ?? ''
        expect(message.includes('bytes')).toBe(Buffer.byteLength(text) > bytes)
      }),
    )
  })

  it('gives no two instances one key string', () => {
    const name = fc.string({ unit: fc.constantFrom('a', '/', '.', '%', '|'), minLength: 1, maxLength: 3 })
    const key = fc.record({ namespace: name, service: name, id: name })
    fc.assert(
      fc.property(key, key, (a, b) => {
        const same = a.namespace === b.namespace && a.service === b.service && a.id === b.id
        expect(instanceId(a) === instanceId(b)).toBe(same)
      }),
    )
  })

  it('leaves the default namespace out for people', () => {
    expect(displayName({ namespace: 'default', service: 'api' })).toBe('api')
    expect(displayName({ namespace: 'test.shop', service: 'api', id: 'i1' })).toBe('test.shop/api/i1')
  })
})
