import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { location } from './location.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-etcd-url-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string) => {
  writeFileSync(join(folder, name), name)
  return join(folder, name)
}
const plain = { prefix: '/seamark', format: 'seamark' }

describe('a URL of etcd', () => {
  it.each([
    ['etcd://h1', { ...plain, members: ['h1:2379'] }],
    ['etcd://h1/', { ...plain, members: ['h1:2379'] }],
    [
      'etcd://h1:1,h-2.example.org,10.0.0.1:65535',
      { ...plain, members: ['h1:1', 'h-2.example.org:2379', '10.0.0.1:65535'] },
    ],
    ['etcd://[::1],[2001:db8::1]:99', { ...plain, members: ['[::1]:2379', '[2001:db8::1]:99'] }],
    ['etcd://h1/my/app/', { ...plain, members: ['h1:2379'], prefix: '/my/app' }],
    ['etcd://h1/my%20app?format=seamark', { ...plain, members: ['h1:2379'], prefix: '/my app' }],
    ['etcd://h1?format=grpc', { members: ['h1:2379'], prefix: '', format: 'grpc' }],
    ['etcd://h1/services?format=grpc', { members: ['h1:2379'], prefix: 'services', format: 'grpc' }],
    ['etcd://h1//services/?format=grpc', { members: ['h1:2379'], prefix: '/services', format: 'grpc' }],
    ['etcd://h1?tls=true', { ...plain, members: ['h1:2379'], tls: {} }],
    ['etcd://h1?tls=false', { ...plain, members: ['h1:2379'] }],
    [
      'etcd://us%40er:p%3Ass%2F:word@h1,h2',
      { ...plain, members: ['h1:2379', 'h2:2379'], user: { name: 'us@er', password: 'p:ss/:word' } },
    ],
  ])('%s', (url, expected) => {
    expect(location(url)).toEqual(expected)
  })

  it('names the files of TLS, which are read', () => {
    const [ca, cert, key] = [file('ca'), file('cert'), file('key')]
    expect(location(`etcd://h1?ca=${ca}`)).toMatchObject({ tls: { ca: Buffer.from('ca') } })
    expect(location(`etcd://h1?cert=${cert}&key=${key}&tls=true`)).toMatchObject({
      tls: { cert: Buffer.from('cert'), key: Buffer.from('key') },
    })
  })

  it.each([
    ['etcd:', 'must look like'],
    ['etcd://', 'must look like'],
    ['http://h1', 'must look like'],
    ['etcd://h1#x', 'must look like'],
    ['etcd://user:secr@t@h1', 'must look like'],
    ['etcd://user:secr/t@h1', 'must look like'],
    ['etcd://user:secret', 'host number 1 is not a host'],
    ['etcd://user@h1', 'user:password'],
    ['etcd://:secret@h1', 'user:password'],
    ['etcd://user:secret%@h1', 'the password is not well-formed'],
    ['etcd://h1,', 'host number 2 is not a host'],
    ['etcd://h1:x', 'host number 1 is not a host'],
    ['etcd://h 1', 'host number 1 is not a host'],
    ['etcd://h1:0', 'a port that is none'],
    ['etcd://h1:65536', 'a port that is none'],
    ['etcd://h1/%ff', 'the prefix is not well-formed'],
    ['etcd://h1?format=json', 'format must be'],
    ['etcd://h1?prefix=x', '"prefix" is no parameter'],
    ['etcd://h1?format=grpc&format=grpc', 'format is there twice'],
    ['etcd://h1?ca=', 'ca is empty'],
    ['etcd://h1?tls=yes', 'tls must be true or false'],
    ['etcd://h1?tls=false&ca=x', 'tls=false rules out'],
    ['etcd://h1?cert=x', 'cert and key go together'],
    ['etcd://h1?key=x', 'cert and key go together'],
    ['etcd://h1?ca=/nowhere/ca.pem', 'the file of ca cannot be read'],
  ])('%s is refused', (url, problem) => {
    expect(() => location(url)).toThrow(
      expect.objectContaining({ code: 'configuration', message: expect.stringContaining(problem) }),
    )
    expect(() => location(url)).not.toThrow(/secr/)
  })
})
