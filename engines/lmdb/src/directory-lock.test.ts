import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DirectoryLock, directoryLock } from './directory-lock.ts'

describe('a directory lock', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'seamark-lock-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  it('has one owner, and names it to the next', async () => {
    await using _owner = await directoryLock(directory)
    await expect(directoryLock(directory)).rejects.toMatchObject({
      code: 'store_in_use',
      message: expect.stringContaining(`this process (${process.pid})`),
    })
  })

  it('is free again once it was given back', async () => {
    for (let round = 0; round < 5; round++) await (await directoryLock(directory))[Symbol.asyncDispose]()
    await using _owner = await directoryLock(directory)
    expect(readdirSync(directory).sort()).toEqual(['owner-6', 'owner.pid'])
  })

  it('has one winner among 20 that start at once, again and again', async () => {
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => directoryLock(directory)))
      const winners = outcomes.filter((outcome) => outcome.status === 'fulfilled')
      const losers = outcomes.filter((outcome) => outcome.status === 'rejected')
      expect(winners).toHaveLength(1)
      expect(losers.map(({ reason }) => reason.code)).toEqual(Array(19).fill('store_in_use'))
      await (winners[0] as PromiseFulfilledResult<DirectoryLock>).value[Symbol.asyncDispose]()
    }
  })

  it.runIf(process.platform === 'linux')('works where the path is longer than a socket address', async () => {
    const deep = join(directory, 'd'.repeat(120), 'd'.repeat(120))
    mkdirSync(deep, { recursive: true })
    await using _owner = await directoryLock(deep)
    await expect(directoryLock(deep)).rejects.toMatchObject({ code: 'store_in_use' })
  })
})
