import { expect, it } from 'vitest'
import { Gate } from './gate.ts'

interface Task {
  readonly begun: boolean
  readonly outcome: Promise<void>
  succeed(): void
  fail(error: Error): void
}

function task(gate: Gate): Task {
  let begun = false
  let succeed = () => {}
  let fail: (error: Error) => void = () => {}
  const work = new Promise<void>((resolve, reject) => {
    succeed = resolve
    fail = reject
  })
  const outcome = gate.pass(() => {
    begun = true
    return work
  })
  outcome.catch(() => undefined)
  return {
    get begun() {
      return begun
    },
    outcome,
    succeed: () => succeed(),
    fail: (error) => fail(error),
  }
}

const begun = (tasks: readonly Task[]) => tasks.map((each) => each.begun)

it('lets so many through at a time, and the others in their order', async () => {
  const gate = new Gate(2, () => false)
  const tasks = Array.from({ length: 4 }, () => task(gate))
  expect(begun(tasks)).toEqual([true, true, false, false])
  tasks[1]!.succeed()
  await tasks[1]!.outcome
  expect(begun(tasks)).toEqual([true, true, true, false])
  tasks[0]!.fail(new Error('its own'))
  await expect(tasks[0]!.outcome).rejects.toThrow('its own')
  expect(begun(tasks)).toEqual([true, true, true, true])
  tasks[2]!.succeed()
  tasks[3]!.succeed()
  await tasks[3]!.outcome
  expect(task(gate).begun).toBe(true)
})

it('tells all who wait that there is nothing to wait for', async () => {
  const gate = new Gate(1, (error) => String(error).includes('away'))
  const [first, ...others] = Array.from({ length: 3 }, () => task(gate))
  first!.fail(new Error('away'))
  for (const each of [first!, ...others]) await expect(each.outcome).rejects.toThrow('away')
  expect(begun(others)).toEqual([false, false])
  expect(task(gate).begun).toBe(true)
})
