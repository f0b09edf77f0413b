import { describe, expect, it } from 'vitest'
import { isNotConnected } from './not-connected.ts'

/** As Node makes them. */
function failure(syscall: string, code: string): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { syscall, code })
}

describe('a request that failed', () => {
  it.each([
    failure('connect', 'ECONNREFUSED'),
    failure('connect', 'EHOSTUNREACH'),
    // Its server was killed before it took the connection.
    failure('connect', 'ECONNRESET'),
    failure('getaddrinfo', 'ENOTFOUND'),
    new AggregateError([failure('connect', 'ECONNREFUSED'), failure('connect', 'ENETUNREACH')]),
  ])('while it connected (%s) was not sent', (error) => {
    expect(isNotConnected(error)).toBe(true)
  })

  it.each([
    failure('read', 'ECONNRESET'),
    failure('write', 'EPIPE'),
    new Error('other side closed'),
    new AggregateError([failure('connect', 'ECONNREFUSED'), failure('read', 'ECONNRESET')]),
    undefined,
  ])('later (%s) may have arrived', (error) => {
    expect(isNotConnected(error)).toBe(false)
  })
})
