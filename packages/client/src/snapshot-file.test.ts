import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Entry, health, instance, type Notice, serviceId } from '@seamark/core'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SnapshotFile, type StoredService } from './snapshot-file.ts'

let directory: string
let path: string
let clock: FakeClock
let notices: Notice[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'seamark-snapshot-'))
  path = join(directory, 'known.json')
  clock = fakeClock()
  notices = []
})

afterEach(() => rmSync(directory, { recursive: true }))

function entry(service: string, id: string): Entry {
  return {
    instance: instance({
      namespace: 'default',
      service,
      id,
      address: '10.0.0.1',
      port: 80,
      version: '1.2.3',
      tags: ['blue'],
      metadata: { team: 'checkout' },
      checks: [{ type: 'http', url: '/healthz' }],
    }),
    health: health([{ id: 'http', status: 'warning', output: 'slow' }]),
    createdRevision: 3,
    modifiedRevision: 4,
  }
}

function file(content: () => Iterable<StoredService> = () => []): SnapshotFile {
  return new SnapshotFile(path, { clock, notify: (notice) => notices.push(notice), content })
}

describe('the snapshot on disk', () => {
  test('brings back what a former run knew', async () => {
    const stored = { date: clock.date(), entries: [entry('api', 'i1'), entry('api', 'i2')] }
    const first = file(() => [stored])
    first.touch()
    await first.close()
    const second = file()
    expect(second.former.get(serviceId(stored.entries[0]!.instance))).toEqual(stored)
    expect(notices).toEqual([])
  })

  test('is for its owner only, and leaves nothing else behind', async () => {
    const written = file(() => [{ date: clock.date(), entries: [entry('api', 'i1')] }])
    written.touch()
    await written.close()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['known.json'])
  })

  test('is written once for many changes in a second', async () => {
    let asked = 0
    const written = file(() => {
      asked++
      return []
    })
    for (let n = 0; n < 50; n++) {
      written.touch()
      await clock.advance(10)
    }
    expect(asked).toBe(0)
    await clock.advance(1_000)
    await written.close()
    expect(asked).toBe(1)
  })

  test('keeps for a week what a later run did not ask for', async () => {
    const [api, www] = [entry('api', 'i1'), entry('www', 'i1')]
    const first = file(() => [
      { date: clock.date(), entries: [api, www].slice(0, 1) },
      { date: clock.date(), entries: [www] },
    ])
    first.touch()
    await first.close()
    const rewrite = async () => {
      const run = file(() => [{ date: clock.date(), entries: [api] }])
      run.touch()
      await run.close()
      return file().former.size
    }
    clock.jump(6 * 86_400_000)
    expect(await rewrite()).toBe(2)
    clock.jump(2 * 86_400_000)
    expect(await rewrite()).toBe(1)
  })

  test('counts as none when there is none, without a word', () => {
    expect(file().former.size).toBe(0)
    expect(notices).toEqual([])
  })

  const damaged: Record<string, string> = {
    'cut off': '{"format":1,"services":[{"date":1',
    'of another format': '{"format":2,"services":[]}',
    'not a document': 'null',
    'of the wrong shape': '{"format":1,"services":{}}',
    'with a wrong date': '{"format":1,"services":[{"date":"today","entries":[]}]}',
    'with a wrong instance':
      '{"format":1,"services":[{"date":1,"entries":[{"health":{"checks":[]},"createdRevision":1,"modifiedRevision":1,"namespace":"default","service":"api","id":"i1","address":"not an address","port":1}]}]}',
  }
  test.each(Object.entries(damaged))('is ignored, and says so, when it is %s', async (_, text) => {
    writeFileSync(path, text)
    const read = file()
    expect(read.former.size).toBe(0)
    expect(notices).toMatchObject([{ level: 'warn', event: 'cache_ignored' }])
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  test('that cannot be written says so once, and harms nobody', async () => {
    rmSync(directory, { recursive: true })
    const lost = file(() => [])
    for (let n = 0; n < 3; n++) {
      lost.touch()
      await clock.advance(1_000)
    }
    await lost.close()
    expect(notices).toMatchObject([{ level: 'warn', event: 'cache_failed' }])
    directory = mkdtempSync(join(tmpdir(), 'seamark-snapshot-'))
  })
})
