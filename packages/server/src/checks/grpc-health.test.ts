import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeResponse, encodeRequest } from './grpc-health.ts'

function frame(...message: number[]): Buffer {
  return Buffer.from([0, 0, 0, 0, message.length, ...message])
}

test('writes requests', () => {
  expect(encodeRequest('')).toEqual(frame())
  expect(encodeRequest('api')).toEqual(frame(0x0a, 3, ...Buffer.from('api')))
  expect(encodeRequest('a'.repeat(255)).subarray(0, 8)).toEqual(
    Buffer.from([0, 0, 0, 1, 2, 0x0a, 0xff, 0x01]),
  )
})

test.each([
  ['nothing, which is UNKNOWN', frame(), 0],
  ['SERVING', frame(0x08, 1), 1],
  ['NOT_SERVING', frame(0x08, 2), 2],
  ['a status of two bytes', frame(0x08, 0x80, 0x01), 128],
  [
    'fields of a later version',
    frame(0x12, 2, 1, 2, 0x18, 5, 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0x2d, 0, 0, 0, 0, 0x08, 1),
    1,
  ],
  ['a field that is cut short', frame(0x08), undefined],
  ['a number without an end', frame(0x08, ...new Array(12).fill(0xff)), undefined],
  ['an unknown wire type', frame(0x0f), undefined],
  ['a length beyond the end', frame(0x12, 9, 1), undefined],
  ['a compressed frame', Buffer.from([1, 0, 0, 0, 0]), undefined],
  ['a frame that is cut short', Buffer.from([0, 0, 0, 0, 2, 0x08]), undefined],
  ['no frame', Buffer.alloc(0), undefined],
])('reads %s', (_, bytes, status) => {
  expect(decodeResponse(bytes)).toBe(status)
})

test('takes any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const status = decodeResponse(frame(...bytes))
      expect(status === undefined || Number.isInteger(status)).toBe(true)
    }),
  )
})
