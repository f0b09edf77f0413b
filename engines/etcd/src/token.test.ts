import { expect, it } from 'vitest'
import { newLeaseId, newToken, noLease, parseToken } from './token.ts'

it('a token says which lease it is of, and nothing that etcd knows leads back to it', () => {
  for (const lease of [noLease, '1', '9223372036854775807', newLeaseId()]) {
    const token = newToken(lease)
    expect(token.lease).toBe(lease)
    expect(token.text).toMatch(/^[A-Za-z0-9_-]{32}$/)
    expect(token.hash).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(parseToken(token.text)).toEqual(token)
    expect(newToken(lease).text).not.toBe(token.text)
  }
})

it('what is no token is none', () => {
  const negative = Buffer.alloc(24, 0xff).toString('base64url')
  for (const text of ['', 'x', 'x'.repeat(31), 'x'.repeat(33), `${'x'.repeat(31)}=`, negative])
    expect(parseToken(text)).toBeUndefined()
})

it('ids of leases are positive numbers of 64 bits', () => {
  for (let n = 0; n < 1_000; n++) {
    const id = BigInt(newLeaseId())
    expect(id > 0n && id < 2n ** 63n).toBe(true)
  }
})
