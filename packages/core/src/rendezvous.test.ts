import fc from 'fast-check'
import { expect, it } from 'vitest'
import { rendezvous } from './rendezvous.ts'

const keys = Array.from({ length: 9_000 }, (_, index) => `default\0api\0api-${index}`)

it('gives each member about the same share', () => {
  const members = ['10.0.0.1:8500', '10.0.0.2:8500', '10.0.0.3:8500']
  const shares = members.map((member) => keys.filter((key) => rendezvous(members, key) === member).length)
  for (const share of shares) expect(Math.abs(share - 3_000)).toBeLessThan(200)
})

it('moves only the keys of who leaves, and asks for no order', () => {
  const members = fc.uniqueArray(fc.string(), { minLength: 2, maxLength: 8 })
  fc.assert(
    fc.property(members, fc.string(), (members, key) => {
      const owner = rendezvous(members, key)
      expect(rendezvous([...members].reverse(), key)).toBe(owner)
      for (const gone of members.filter((member) => member !== owner))
        expect(
          rendezvous(
            members.filter((member) => member !== gone),
            key,
          ),
        ).toBe(owner)
    }),
  )
})

it('knows nobody where nobody is', () => {
  expect(rendezvous([], 'key')).toBeUndefined()
})
