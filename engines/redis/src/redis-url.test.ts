import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSeamarkError } from '@seamark/core'
import { describe, expect, test } from 'vitest'
import { type RedisAddress, redisUrl } from './redis-url.ts'

const localhost = { host: 'localhost', port: 6_379 }
const plain: RedisAddress = { hosts: [localhost], db: 0, prefix: 'seamark' }

describe('the URL of a Redis', () => {
  test.for<[url: string, address: Partial<RedisAddress>]>([
    ['redis://localhost', {}],
    ['redis://localhost/', {}],
    ['redis://localhost:7000', { hosts: [{ host: 'localhost', port: 7_000 }] }],
    ['redis://10.0.0.1:1/3', { hosts: [{ host: '10.0.0.1', port: 1 }], db: 3 }],
    ['redis://[::1]:7000', { hosts: [{ host: '::1', port: 7_000 }] }],
    [
      'redis://a:7000,b,c.example.com:7002',
      {
        hosts: [
          { host: 'a', port: 7_000 },
          { host: 'b', port: 6_379 },
          { host: 'c.example.com', port: 7_002 },
        ],
      },
    ],
    ['redis://:secret@localhost', { password: 'secret' }],
    ['redis://ann:secret@localhost', { username: 'ann', password: 'secret' }],
    ['redis://ann:p%40ss%3A%2F%25%3F%23@localhost', { username: 'ann', password: 'p@ss:/%?#' }],
    ['redis://ann:a:b@localhost', { username: 'ann', password: 'a:b' }],
    ['redis://localhost?prefix=shop:eu-1', { prefix: 'shop:eu-1' }],
    ['redis://localhost/2?prefix=shop', { prefix: 'shop', db: 2 }],
    ['rediss://localhost', { tls: {} }],
    ['redis-sentinel://a/mymaster', { hosts: [{ host: 'a', port: 26_379 }], master: 'mymaster' }],
    [
      'redis-sentinel://ann:secret@a:1,b:2/my%2Fmaster/4?prefix=shop&sentinelUser=bob&sentinelPassword=s%26s',
      {
        hosts: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
        master: 'my/master',
        db: 4,
        prefix: 'shop',
        username: 'ann',
        password: 'secret',
        sentinelUsername: 'bob',
        sentinelPassword: 's&s',
      },
    ],
    ['rediss-sentinel://a/m', { hosts: [{ host: 'a', port: 26_379 }], master: 'm', tls: {} }],
  ])('%s', ([url, address]) => {
    expect(redisUrl(url)).toEqual({ ...plain, ...address })
  })

  test.for<[url: string, message: RegExp]>([
    ['', /redis:\/\/host/],
    ['redis:', /redis:\/\/host/],
    ['redis:localhost', /redis:\/\/host/],
    ['redis://', /redis:\/\/host/],
    ['redis:///0', /redis:\/\/host/],
    ['redis+unix:///tmp/redis.sock', /redis:\/\/host/],
    ['Redis://localhost', /redis:\/\/host/],
    ['valkey://localhost', /redis:\/\/host/],
    ['redis://localhost#0', /redis:\/\/host/],
    ['redis://ann:hidden@word@localhost', /%40/],
    ['redis://ann:hidden/word@localhost', /%2F/],
    ['redis://ann:1/hidden@localhost', /%2F/],
    ['redis://ann:hidden?word@localhost', /%3F/],
    ['redis://ann:hidden#word@localhost', /%23/],
    ['redis://hidden@localhost', /no password/],
    ['redis://hidden:@localhost', /no password/],
    ['redis://localhost:0', /"localhost:0" must be a host/],
    ['redis://localhost:65536', /must be a host/],
    ['redis://localhost:http', /must be a host/],
    ['redis://a,,b', /"" must be a host/],
    ['redis://::1', /must be a host/],
    ['redis://local host', /must be a host/],
    ['redis://localhost/x', /number of a database/],
    ['redis://localhost/-1', /number of a database/],
    ['redis://localhost/0/1', /number of a database/],
    ['redis://localhost?prefix=', /prefix has no value/],
    ['redis://localhost?prefix', /prefix has no value/],
    ['redis://localhost?prefix=a%7Bb', /prefix "a{b"/],
    ['redis://localhost?prefix=a&prefix=b', /prefix twice/],
    ['redis://localhost?prefiks=a', /"prefiks"/],
    ['redis://localhost?toString=a', /"toString"/],
    ['redis://localhost?ca=/x', /ca is for rediss/],
    ['redis://localhost?sentinelPassword=hidden', /sentinelPassword is for redis-sentinel/],
    ['redis://localhost?prefix=%zz', /percent/],
    ['redis://ann:hidden%@localhost', /percent/],
    ['rediss://localhost?ca=/no/such/file', /"\/no\/such\/file"/],
    ['rediss://localhost?cert=/x', /cert and key go together/],
    ['redis-sentinel://a:26379', /names no master/],
    ['redis-sentinel://a:26379/', /names no master/],
    ['redis-sentinel://a:26379/m/x', /number of a database/],
  ])('refuses %s', ([url, message]) => {
    let thrown: unknown
    try {
      redisUrl(url)
    } catch (error) {
      thrown = error
    }
    expect(isSeamarkError(thrown, 'configuration')).toBe(true)
    expect((thrown as Error).message).toMatch(message)
    expect((thrown as Error).message).not.toContain('hidden')
  })

  test('reads the files that TLS needs', () => {
    const folder = mkdtempSync(join(tmpdir(), 'seamark-redis-'))
    try {
      const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => {
        const path = join(folder, `${name}.pem`)
        writeFileSync(path, name)
        return path
      })
      const { tls } = redisUrl(
        `rediss://localhost?ca=${encodeURIComponent(ca!)}&cert=${encodeURIComponent(cert!)}&key=${encodeURIComponent(key!)}`,
      )
      expect(tls).toEqual({ ca: Buffer.from('ca'), cert: Buffer.from('cert'), key: Buffer.from('key') })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
