import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Notice } from '@seamark/core'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { pem, published, type SigningKey, signed, signingKey } from '../../test/tokens.ts'
import { accessSetting } from './access-setting.ts'
import { TokenVerifier } from './token-verifier.ts'

const [first, second] = [signingKey('ES256', 'first'), signingKey('RS256', 'second')]

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Who publishes keys: says what it is told to, and counts how often it was asked. */
async function issuer() {
  let answer: RequestListener = (_request, response) => response.writeHead(503).end()
  let asked = 0
  const server = createServer((request, response) => {
    asked++
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json?code=hidden`
  return {
    url,
    asked: () => asked,
    answers: (listener: RequestListener) => {
      answer = listener
    },
    async publishes(...keys: readonly SigningKey[]) {
      const body = JSON.stringify({ keys: await Promise.all(keys.map(published)) })
      answer = (_request, response) => response.setHeader('content-type', 'application/json').end(body)
    },
  }
}

function verifying(setting: Record<string, unknown>) {
  const clock = fakeClock()
  const notices: Notice[] = []
  const read = accessSetting('access', setting, '/')
  const verifier = new TokenVerifier(read, { clock, fetch, notify: (notice) => notices.push(notice) })
  cleanups.push(() => verifier[Symbol.asyncDispose]())
  return {
    clock,
    notices,
    events: () => notices.map(({ event }) => event),
    verifier,
    /** Whom the token is about, or why it does not hold. */
    who: async (token: string): Promise<string | undefined> => {
      try {
        return (await verifier.verify(token)).subject
      } catch (error) {
        return (error as { code: string }).code
      }
    },
  }
}

const token = (key: SigningKey, clock: FakeClock, sub = 'anna') =>
  signed(key, { sub, exp: Math.floor(clock.date() / 1_000) + 100_000 })

/** Waits for what real sockets and files bring, while the clock stands still. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Milliseconds after which keys are read again. */
const [urlRefresh, fileRefresh] = [600_000, 30_000]
/** At most, after the first failure. */
const backoff = 1_000
const patience = 5_000

describe('keys of a URL', () => {
  it('are there for whoever comes first', async () => {
    const id = await issuer()
    await id.publishes(first)
    const { who, clock, notices } = verifying({ jwks: { url: id.url } })
    const tokens = await Promise.all(['a', 'b', 'c'].map((sub) => token(first, clock, sub)))
    expect(await Promise.all(tokens.map(who))).toEqual(['a', 'b', 'c'])
    expect(id.asked()).toBe(1)
    expect(notices).toEqual([])
  })

  it('are fetched again for a key that is not known, but not for each such token', async () => {
    const id = await issuer()
    await id.publishes(first)
    const { who, clock, events } = verifying({ jwks: { url: id.url } })
    expect(await who(await token(first, clock))).toBe('anna')
    await id.publishes(first, second)
    // They were fetched a moment ago.
    expect(await who(await token(second, clock))).toBe('unauthenticated')
    expect(id.asked()).toBe(1)
    clock.jump(10_000)
    const tokens = await Promise.all(['a', 'b', 'c'].map((sub) => token(second, clock, sub)))
    expect(await Promise.all(tokens.map(who))).toEqual(['a', 'b', 'c'])
    expect(id.asked()).toBe(2)
    const strangers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => token(signingKey('ES256', `x${n}`), clock)),
    )
    clock.jump(10_000)
    expect(new Set(await Promise.all(strangers.map(who)))).toEqual(new Set(['unauthenticated']))
    expect(id.asked()).toBe(3)
    expect(events()).toEqual(['keys_loaded'])
  })

  it('end what was verified with a key that is no more', async () => {
    const id = await issuer()
    await id.publishes(first, second)
    const { who, clock } = verifying({ jwks: { url: id.url } })
    const old = await token(first, clock)
    expect(await who(old)).toBe('anna')
    await id.publishes(second)
    await clock.advance(urlRefresh)
    await until(async () => (await who(old)) === 'unauthenticated')
    expect(await who(await token(second, clock))).toBe('anna')
  })

  it.each<[string, (url: string) => RequestListener, slow?: boolean]>([
    ['fails', () => (_request, response) => response.writeHead(500).end('oh')],
    ['breaks off', () => (request) => request.socket.destroy()],
    ['says what is no JWKS', () => (_request, response) => response.end('<html>')],
    ['says that there are no keys', () => (_request, response) => response.end('{"keys":[]}')],
    ['says too much', () => (_request, response) => response.end(Buffer.alloc(600_000, ' '))],
    [
      'leads elsewhere',
      (url) => (_request, response) => response.writeHead(302, { location: `${url}&b` }).end(),
    ],
    ['does not answer', () => () => {}, true],
    [
      'does not come to an end',
      () => (_request, response) => {
        response.write('{"keys":[')
      },
      true,
    ],
  ])('go on when it %s, and it is told once', async (_how, wrong, isSlow = false) => {
    const id = await issuer()
    await id.publishes(first)
    const { who, clock, notices, events } = verifying({ jwks: { url: id.url } })
    expect(await who(await token(first, clock))).toBe('anna')
    id.answers(wrong(id.url))
    await clock.advance(urlRefresh)
    await until(() => id.asked() === 2)
    if (isSlow) await clock.advance(patience)
    await until(() => events().includes('keys_lost'))
    await clock.advance(backoff)
    await until(() => id.asked() === 3)
    expect(await who(await token(first, clock, 'berta'))).toBe('berta')
    expect(events()).toEqual(['keys_lost'])
    expect(notices[0]?.level).toBe('warn')
    expect(notices[0]?.message).toContain('/jwks.json: ')
    expect(JSON.stringify(notices)).not.toContain('hidden')
    if (isSlow) await clock.advance(patience)
    expect(await who(await token(second, clock))).toBe('keys_unavailable')
    await id.publishes(first, second)
    await clock.advance(2 * backoff)
    await until(() => events().includes('keys_loaded'))
    expect(await who(await token(second, clock))).toBe('anna')
  })

  it('that cannot be fetched leave open whether a token with a new key holds', async () => {
    const id = await issuer()
    await id.publishes(first)
    const { who, clock } = verifying({ jwks: { url: id.url } })
    expect(await who(await token(first, clock))).toBe('anna')
    id.answers((request) => request.socket.destroy())
    clock.jump(10_000)
    expect(await who(await token(second, clock))).toBe('keys_unavailable')
  })

  it('are waited for while they are fetched, but no longer, and are there as soon as the URL is', async () => {
    const id = await issuer()
    id.answers((request) => request.socket.destroy())
    const { who, clock, notices, events } = verifying({ jwks: { url: id.url } })
    const asked = await token(first, clock)
    expect(await who(asked)).toBe('keys_unavailable')
    expect(notices).toMatchObject([{ level: 'error', event: 'keys_lost' }])
    await id.publishes(first)
    await clock.advance(backoff)
    await until(async () => (await who(asked)) === 'anna')
    expect(events()).toEqual(['keys_lost', 'keys_loaded'])
  })

  it('are given up waiting for when whoever wanted them is gone', async () => {
    const id = await issuer()
    id.answers(() => {})
    const { who, clock, notices, verifier } = verifying({ jwks: { url: id.url } })
    const waiting = who(await token(first, clock))
    await verifier[Symbol.asyncDispose]()
    expect(await waiting).toBe('keys_unavailable')
    expect(notices).toEqual([])
  })

  it('are found for a token that names none of them', async () => {
    const id = await issuer()
    const others = [signingKey('ES256', 'x'), signingKey('ES256', 'y')]
    await id.publishes(...others, first)
    const { who, clock } = verifying({ jwks: { url: id.url } })
    expect(await who(await token({ ...first, kid: undefined }, clock))).toBe('anna')
    expect(await who(await token(signingKey('ES256'), clock))).toBe('unauthenticated')
  })

  it('are told of when others on the way could replace them', async () => {
    const { notices, events } = verifying({ jwks: { url: 'http://id.invalid/jwks' } })
    expect(events()).toEqual(['keys_in_clear'])
    expect(notices[0]?.message).toContain('http://id.invalid/jwks')
  })
})

describe('keys of a file', () => {
  function folder(): string {
    const path = mkdtempSync(join(tmpdir(), 'seamark-keyring-'))
    cleanups.push(() => rmSync(path, { recursive: true }))
    return path
  }

  it('are read again when it changes', async () => {
    const file = join(folder(), 'key.pem')
    writeFileSync(file, pem(first))
    const { who, clock, events } = verifying({ publicKey: { file } })
    const old = await token(first, clock)
    expect(await who(old)).toBe('anna')
    writeFileSync(file, pem(second))
    await clock.advance(fileRefresh)
    await until(async () => (await who(await token(second, clock))) === 'anna')
    expect(await who(old)).toBe('unauthenticated')
    expect(events()).toEqual(['keys_loaded'])
  })

  it('go on when it is damaged, or gone', async () => {
    const file = join(folder(), 'key.pem')
    writeFileSync(file, pem(first))
    const { who, clock, events } = verifying({ publicKey: { file } })
    writeFileSync(file, '')
    await clock.advance(fileRefresh)
    await until(() => events().includes('keys_lost'))
    rmSync(file)
    await clock.advance(120_000)
    expect(await who(await token(first, clock))).toBe('anna')
    expect(events()).toEqual(['keys_lost'])
  })

  it.each([
    ['is not there', undefined, 'cannot be read'],
    ['holds no key', 'hello', 'holds no public key'],
  ])('must be there from the beginning: one that %s', (_what, text, problem) => {
    const file = join(folder(), 'key.pem')
    if (text !== undefined) writeFileSync(file, text)
    expect(() => verifying({ publicKey: { file } })).toThrow(
      expect.objectContaining({ code: 'configuration', message: expect.stringContaining(problem) }),
    )
  })
})

describe('a secret of the environment', () => {
  const variable = 'SEAMARK_TEST_SECRET'
  afterEach(() => {
    delete process.env[variable]
  })

  it('verifies tokens', async () => {
    process.env[variable] = 'x'.repeat(32)
    const { who, clock } = verifying({ secret: { variable } })
    const key = { ...first, algorithm: 'HS256', privateKey: Buffer.from('x'.repeat(32)) }
    expect(await who(await token(key, clock))).toBe('anna')
  })

  it('must be there, and long enough; and is never shown', () => {
    expect(() => verifying({ secret: { variable } })).toThrow(
      'the variable SEAMARK_TEST_SECRET cannot be read',
    )
    process.env[variable] = 'short'
    expect(() => verifying({ secret: { variable } })).toThrow(
      /^the variable SEAMARK_TEST_SECRET has 5 bytes(?!.*short)/,
    )
  })
})
