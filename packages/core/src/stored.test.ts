import { expect, it } from 'vitest'
import { instance } from './instance.ts'
import { storedInstance } from './stored.ts'

const api = instance({
  namespace: 'default',
  service: 'api',
  id: 'a',
  address: '10.0.0.1',
  port: 80,
  tags: ['x'],
})

it('reads what was written, leaving out what a newer version added', () => {
  expect(storedInstance(JSON.parse(JSON.stringify({ ...api, novelty: { path: '/api' } })))).toEqual(api)
})

it.each([undefined, null, 7, 'text', [], {}, { ...api, port: 'x' }])('refuses %j', (value) => {
  expect(() => storedInstance(value)).toThrow(expect.objectContaining({ code: 'invalid_field' }))
})
