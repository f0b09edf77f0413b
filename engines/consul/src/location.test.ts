import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { location } from './location.ts'

const plain = { origin: 'http://consul:8500', prefix: 'seamark', node: 'seamark', sessionTtlMin: 10_000 }

describe('the URL of Consul', () => {
  it.each<[string, object]>([
    ['consul://consul', plain],
    ['consul://consul/', plain],
    ['consul://consul:80', { ...plain, origin: 'http://consul:80' }],
    ['consul://[::1]:8500', { ...plain, origin: 'http://[::1]:8500' }],
    ['consul://to%40ken@consul', { ...plain, token: 'to@ken' }],
    ['consul://consul/teams/a', { ...plain, prefix: 'teams/a', node: 'teams-a' }],
    ['consul://consul?dc=west', { ...plain, datacenter: 'west' }],
    ['consul://consul?session-ttl-min=500ms', { ...plain, sessionTtlMin: 500 }],
    ['consul://consul?tls=false', plain],
    ['consul://consul?tls=true', { ...plain, origin: 'https://consul:8500', tls: {} }],
    ['consul://consul?tls', { ...plain, origin: 'https://consul:8500', tls: {} }],
    ['consuls://consul', { ...plain, origin: 'https://consul:8500', tls: {} }],
  ])('%s is understood', (url, expected) => {
    expect(location(url)).toEqual(expected)
  })

  it.each<[string, string]>([
    ['consul:', 'must look like'],
    ['consul://', 'must look like'],
    ['http://consul', 'must look like'],
    ['consul://consul#a', 'must look like'],
    ['consul://a,b', '"a,b" is not a host'],
    ['consul://consul:0', 'port that is none'],
    ['consul://consul:70000', 'port that is none'],
    ['consul://%zz@consul', 'the token is not well-formed'],
    ['consul://a%20b@consul', 'a token, without spaces'],
    ['consul://consul/a//b', 'its prefix'],
    ['consul://consul/..', 'its prefix'],
    ['consul://consul/a%20b', 'its prefix'],
    [
      'consul://consul?datacenter=west',
      '"datacenter" is no parameter of it; there are dc, session-ttl-min, tls',
    ],
    ['consul://consul?dc=a&dc=b', 'dc is there twice'],
    ['consul://consul?dc=', 'dc is empty'],
    ['consul://consul?tls=1', 'tls must be true or false'],
    ['consuls://consul?tls=false', 'tls=false rules out'],
    ['consul://consul?cert=a', 'cert and key go together'],
    ['consul://consul?ca=/nowhere/ca.pem', 'the file of ca cannot be read'],
    ['consul://consul?session-ttl-min=soon', 'session-ttl-min must be'],
    ['consul://consul?session-ttl-min=0s', 'more than 0'],
  ])('%s is refused', (url, problem) => {
    expect(() => location(url)).toThrow(
      expect.objectContaining({ code: 'configuration', message: expect.stringContaining(problem) }),
    )
  })

  it('names no token in its errors', () => {
    for (const url of ['consul://s3cret@consul?x=1', 'consul://s3cret@', 'consul://s3cret@consul:0'])
      expect(() => location(url)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('s3cret') }),
      )
  })

  it('brings the files of TLS', () => {
    const folder = mkdtempSync(join(tmpdir(), 'seamark-consul-'))
    try {
      for (const name of ['ca', 'cert', 'key']) writeFileSync(join(folder, name), `the ${name}`)
      const { tls } = location(`consul://consul?ca=${folder}/ca&cert=${folder}/cert&key=${folder}/key`)
      expect(tls).toEqual({
        ca: Buffer.from('the ca'),
        cert: Buffer.from('the cert'),
        key: Buffer.from('the key'),
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
