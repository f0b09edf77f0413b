import { expect, test } from 'vitest'
import { Slots } from './slots.ts'

const { signal } = new AbortController()

/** Work that runs until it is told to end. */
function held() {
  let end: () => void = () => {}
  const done = new Promise<void>((resolve) => {
    end = resolve
  })
  return { work: () => done, end }
}

test('lets as many run as there are slots, and the others in the order they came', async () => {
  const slots = new Slots(2)
  const began: number[] = []
  const pieces = Array.from({ length: 5 }, held)
  const runs = pieces.map(({ work }, index) =>
    slots.run(signal, () => {
      began.push(index)
      return work()
    }),
  )
  await Promise.resolve()
  expect(began).toEqual([0, 1])
  pieces[1]!.end()
  await runs[1]
  expect(began).toEqual([0, 1, 2])
  for (const { end } of pieces) end()
  await Promise.all(runs)
  expect(began).toEqual([0, 1, 2, 3, 4])
})

test('gives a slot back when the work fails', async () => {
  const slots = new Slots(1)
  await expect(slots.run(signal, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  await expect(slots.run(signal, async () => 'fine')).resolves.toBe('fine')
})

test('lets one who waits give up, and serves the next', async () => {
  const slots = new Slots(1)
  const first = held()
  const running = slots.run(signal, first.work)
  const stop = new AbortController()
  const impatient = slots.run(stop.signal, async () => 'never')
  const patient = slots.run(signal, async () => 'served')
  stop.abort(new Error('gave up'))
  await expect(impatient).rejects.toThrow('gave up')
  first.end()
  await running
  await expect(patient).resolves.toBe('served')
  await expect(slots.run(stop.signal, async () => 'never')).rejects.toThrow('gave up')
})
