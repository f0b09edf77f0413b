import { describe, expect, test } from 'vitest'
import { vascoUrl } from './vasco-url.ts'

describe('VASCO_URL', () => {
  test.each([
    [undefined, 'redis://127.0.0.1:6379'],
    ['', 'redis://127.0.0.1:6379'],
    ['127.0.0.1:6380', 'redis://127.0.0.1:6380'],
    ['localhost', 'redis://localhost'],
    ['[::1]:6379', 'redis://[::1]:6379'],
    ['//localhost:6380', 'redis://localhost:6380'],
    [':secret@db:6380/2', 'redis://:secret@db:6380/2'],
    ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
    ['rediss://user:secret@db:6380/2', 'rediss://user:secret@db:6380/2'],
    ['/run/redis.sock', '/run/redis.sock'],
  ])('%s means %s', (text, url) => {
    expect(vascoUrl(text)).toBe(url)
  })

  test.each([
    'http://127.0.0.1:6379',
    'redis://',
    'redis://secret@:x',
    '127.0.0.1:99999',
    'redis://a:secret/b@c:1',
  ])('%s is refused, untold', (text) => {
    const refused = () => vascoUrl(text)
    expect(refused).toThrow(expect.objectContaining({ code: 'configuration' }))
    expect(refused).not.toThrow(/secret/)
  })
})
