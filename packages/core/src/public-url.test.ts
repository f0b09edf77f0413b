import { expect, test } from 'vitest'
import { publicUrl } from './public-url.ts'

test.each([
  ['http://127.0.0.1:8500', 'http://127.0.0.1:8500'],
  ['http://a:8500,http://b:8500/path', 'http://a:8500,http://b:8500/path'],
  ['http://ann:secret@host:99999', 'http://host:99999'],
  ['HTTP://ann:secret@host', 'HTTP://host'],
  ['ann:secret@host', 'host'],
  ['http://ann:se/cr@et@host/path', 'http://host/path'],
  ['etcd://ann:se,cret@a,b', 'etcd://a,b'],
  ['http://a,http://ann:secret@b', 'http://b'],
  ['lmdb:./data', 'lmdb:./data'],
  ['', ''],
])('%j is shown as %j', (url, shown) => {
  expect(publicUrl(url)).toBe(shown)
})
