import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeEngine, drivenTime } from '@seamark/conformance'
import type { Engine } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { lmdb } from './lmdb.ts'

describeEngine('the LMDB engine', {
  terms: { minimumTtl: 100, lateness: 500 },
  async setup() {
    const clock = fakeClock()
    const root = mkdtempSync(join(tmpdir(), 'seamark-lmdb-'))
    let lives = 0
    let directory = join(root, `${lives}`)
    const engines = new Set<Engine>()
    let engine: Engine | undefined
    return {
      time: drivenTime(clock),
      // A directory has one owner; a handle that was disposed of makes way for the next.
      async open() {
        if (engine !== undefined) return engine
        const opened = await lmdb(directory, { clock })
        engines.add(opened)
        const dispose = opened[Symbol.asyncDispose].bind(opened)
        opened[Symbol.asyncDispose] = () => {
          if (engine === opened) engine = undefined
          return dispose()
        }
        engine = opened
        return opened
      },
      // The files as a process that is killed would leave them: what it held in memory, its goodbye too, is not there.
      async crash() {
        const left = directory
        directory = join(root, `${++lives}`)
        cpSync(left, directory, { recursive: true, filter: (path) => !statSync(path).isSocket() })
        engine = undefined
      },
      async [Symbol.asyncDispose]() {
        for (const opened of engines) await opened[Symbol.asyncDispose]()
        rmSync(root, { recursive: true, force: true })
      },
    }
  },
  skip: [
    {
      reason: 'it is in its process: there is no connection to lose',
      tests: [
        'a watch whose connection breaks catches up',
        'a watch whose connection breaks again and again shows nothing partly',
        'writing goes on after a disconnect',
        'a watch of items whose connection breaks tells afterwards what it missed',
      ],
    },
  ],
})
