import { expect, it } from 'vitest'
import { Memo } from './memo.ts'

it('makes a thing once, until it holds too much', () => {
  const made: object[] = []
  const memo = new Memo((key: { text: string }) => {
    made.push(key)
    return key.text
  }, 10)
  const [a, b, c] = [{ text: 'aaaa' }, { text: 'bbbb' }, { text: 'cccc' }]
  for (const key of [a, a, b, b, a]) expect(memo.get(key)).toBe(key.text)
  expect(made).toEqual([a, b])
  memo.get(c)
  memo.get(c)
  memo.get(a)
  expect(made).toEqual([a, b, c, a])
})

it('shows without remembering', () => {
  let made = 0
  const memo = new Memo((_: object) => `${++made}`, 10)
  const key = {}
  expect([memo.glance(key), memo.glance(key), memo.get(key), memo.glance(key)]).toEqual(['1', '2', '3', '3'])
})
