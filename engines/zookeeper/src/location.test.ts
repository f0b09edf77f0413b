import { describe, expect, it } from 'vitest'
import { location } from './location.ts'

describe('the URL of ZooKeeper', () => {
  it.each([
    ['zookeeper://h1', [{ host: 'h1', port: 2181 }], '/services'],
    ['zookeeper://h1/', [{ host: 'h1', port: 2181 }], '/services'],
    ['zookeeper://h1:1/a/b/', [{ host: 'h1', port: 1 }], '/a/b'],
    ['zookeeper://h1/caf%C3%A9', [{ host: 'h1', port: 2181 }], '/café'],
    [
      'zookeeper://h1:2181,10.0.0.1,[::1]:65535/services',
      [
        { host: 'h1', port: 2181 },
        { host: '10.0.0.1', port: 2181 },
        { host: '::1', port: 65_535 },
      ],
      '/services',
    ],
  ])('%s', (url, servers, base) => {
    expect(location(url)).toEqual({ servers, base })
  })

  it('may hold a user and a password, escaped', () => {
    expect(location('zookeeper://me:s%40c%2Fr%3At@h').credentials).toEqual({
      user: 'me',
      password: 's@c/r:t',
    })
  })

  it.each([
    ['zookeeper:h1', 'must look like'],
    ['zookeeper://', 'must look like'],
    ['zookeeper:///services', 'must look like'],
    ['zookeeper://h1#x', 'must look like'],
    ['zookeeper://h1,,h2', '"" is not a host'],
    ['zookeeper://h1:0', 'a port that is none'],
    ['zookeeper://h1:65536', 'a port that is none'],
    ['zookeeper://[h1]', 'is not a host'],
    ['zookeeper://[1:2]', 'not an IPv6 address'],
    ['zookeeper://h1?timeout=1', '"timeout" is no parameter'],
    ['zookeeper://h1/a//b', 'not one that ZooKeeper allows'],
    ['zookeeper://h1/a/%2E%2E/b', 'not one that ZooKeeper allows'],
    ['zookeeper://h1/%F0%9F%98%80', 'not one that ZooKeeper allows'],
    ['zookeeper://h1/zookeeper/x', '/zookeeper for itself'],
    ['zookeeper://h1/%', 'not well-formed'],
    ['zookeeper://secret@h1', 'user:password'],
    ['zookeeper://me:secret%@h1', 'not well-formed'],
    ['zookeeper://me:secret@h1?secure=true', '"secure" is no parameter'],
  ])('%s is refused', (url, problem) => {
    let error: unknown
    try {
      location(url)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'configuration', message: expect.stringContaining(problem) })
    expect(String(error)).not.toContain('secret')
  })
})
