import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { Engine } from '@seamark/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lmdb } from './lmdb.ts'

/** What the children run: the built packages. */
const prelude = `
import { instance } from ${JSON.stringify(import.meta.resolve('../../../packages/core/dist/index.js'))}
import { lmdb } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
const [directory, round] = process.argv.slice(1)
const api = (id, metadata) => instance({ namespace: 'default', service: 'api', id, address: '10.0.0.1', port: 3000, metadata })
`

interface Child extends AsyncDisposable {
  readonly process: ChildProcess
  readonly lines: Interface
  readonly exited: Promise<unknown>
}

let scratch: string
let directory: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'seamark-lmdb-'))
  directory = join(scratch, 'data')
})
afterEach(() => {
  chmodSync(scratch, 0o700)
  rmSync(scratch, { recursive: true, force: true })
})

function child(code: string, args: readonly string[] = [], wrapper: readonly string[] = []): Child {
  const command = [
    ...wrapper,
    process.execPath,
    '--input-type=module',
    '-e',
    prelude + code,
    directory,
    ...args,
  ]
  const running = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(running, 'close')
  return {
    process: running,
    lines: createInterface(running.stdout!),
    exited,
    [Symbol.asyncDispose]: async () => {
      running.kill('SIGKILL')
      await exited
    },
  }
}

async function line(
  { lines, process }: Child,
  match: (line: string) => boolean = () => true,
): Promise<string> {
  let errors = ''
  process.stderr!.on('data', (data) => {
    errors += data
  })
  for await (const line of lines) if (match(line)) return line
  throw new Error(`The child ended before it said so. ${errors}`)
}

async function ids(engine: Engine): Promise<Set<string>> {
  const stop = new AbortController()
  for await (const { changes } of engine.watchAll(stop.signal)) {
    stop.abort()
    const [reset] = changes
    if (reset?.type === 'reset') return new Set(reset.entries.map(({ instance }) => instance.id))
  }
  throw new Error('The watch did not begin with a reset.')
}

const registerForever = `
const engine = await lmdb(directory)
const worker = async (name) => {
  for (let n = 0; ; n++) {
    const id = round + '-' + name + '-' + n
    await engine.register(api(id), { ttl: 60_000 })
    process.stdout.write(id + '\\n')
  }
}
await Promise.all(Array.from({ length: 16 }, (_, name) => worker(name)))
`

const holdOpen = `
await lmdb(directory)
process.stdout.write('open\\n')
setInterval(() => {}, 1_000)
`

describe('an lmdb store whose process is killed', () => {
  it('has every registration that was acknowledged, and opens again at once', async () => {
    const acknowledged = new Set<string>()
    for (let round = 0; round < 6; round++) {
      await using victim = child(registerForever, [`${round}`])
      const enough = Math.ceil(Math.random() * 2_000)
      let count = 0
      victim.lines.on('line', (id) => {
        acknowledged.add(id)
        if (++count === enough) victim.process.kill('SIGKILL')
      })
      await victim.exited
      expect(count).toBeGreaterThanOrEqual(enough)
      await using engine = await lmdb(directory)
      const kept = await ids(engine)
      expect([...acknowledged].filter((id) => !kept.has(id))).toEqual([])
    }
  }, 60_000)

  it('can be opened the moment its owner is gone, by one of those that wait for it', async () => {
    for (let round = 0; round < 3; round++) {
      await using owner = child(holdOpen)
      await line(owner)
      owner.process.kill('SIGKILL')
      await owner.exited
      const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lmdb(directory)))
      const opened = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []))
      expect(opened).toHaveLength(1)
      await opened[0]![Symbol.asyncDispose]()
    }
  }, 60_000)
})

describe('an lmdb store that another process has open', () => {
  it('is refused, and the message names that process', async () => {
    await using owner = child(holdOpen)
    await line(owner)
    await expect(lmdb(directory)).rejects.toMatchObject({
      code: 'store_in_use',
      message: expect.stringContaining(`process ${owner.process.pid}:`),
    })
  })

  it('is refused also while that process is stopped', async () => {
    await using owner = child(holdOpen)
    await line(owner)
    owner.process.kill('SIGSTOP')
    await expect(lmdb(directory)).rejects.toMatchObject({ code: 'store_in_use' })
  })

  it('goes to one of several processes that start at once', async () => {
    const contender = `
      try {
        await lmdb(directory)
        process.stdout.write('open\\n')
      } catch (error) {
        process.stdout.write(error.code + '\\n')
      }
      setInterval(() => {}, 1_000)
    `
    const contenders = Array.from({ length: 5 }, () => child(contender))
    try {
      const outcomes = await Promise.all(contenders.map((each) => line(each)))
      expect(outcomes.sort()).toEqual(['open', ...Array(4).fill('store_in_use')])
    } finally {
      await Promise.all(contenders.map((each) => each[Symbol.asyncDispose]()))
    }
  }, 60_000)
})

describe.runIf(process.platform === 'linux')('an lmdb store on a disk that refuses', () => {
  it('rejects what it cannot keep, keeps what it had, and goes on once there is room', async () => {
    const fill = `
      const engine = await lmdb(directory)
      const metadata = Object.fromEntries(Array.from({ length: 20 }, (_, n) => ['k' + n, 'v'.repeat(500)]))
      const stored = []
      for (let n = 0; ; n++) {
        try {
          await engine.register(api('i' + n, metadata))
          stored.push('i' + n)
        } catch (error) {
          process.stdout.write(JSON.stringify({ code: error.code, cause: String(error.cause), stored }) + '\\n')
          break
        }
      }
      for (;;) {
        try {
          await engine.register(api('late', metadata))
          process.stdout.write('late\\n')
          break
        } catch (error) {
          if (error.code !== 'engine_unavailable') throw error
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
      await engine[Symbol.asyncDispose]()
    `
    // A limit on the size of files refuses as a full disk does, and can be lifted from outside. Blocks of 512 bytes.
    await using writer = child(fill, [], ['sh', '-c', 'ulimit -S -f 12000; exec "$@"', 'sh'])
    const { code, stored } = JSON.parse(await line(writer, (line) => line.startsWith('{')))
    expect(code).toBe('engine_unavailable')
    expect(stored.length).toBeGreaterThan(10)
    const lifted = spawnSync('prlimit', ['--pid', `${writer.process.pid}`, '--fsize=unlimited:unlimited'])
    expect(lifted.status, 'prlimit is part of util-linux').toBe(0)
    await writer.exited
    await using engine = await lmdb(directory)
    expect(await ids(engine)).toEqual(new Set([...stored, 'late']))
  }, 60_000)

  it('refuses a directory that it may not write', async () => {
    {
      await using _engine = await lmdb(directory)
    }
    chmodSync(scratch, 0o755)
    chmodSync(directory, 0o555)
    const attempt = `
      if (process.getuid() === 0) process.setuid(65534)
      await lmdb(directory).catch((error) => process.stdout.write(error.code + '\\n'))
    `
    await using visitor = child(attempt)
    expect(await line(visitor)).toBe('configuration')
  })
})

describe('a commit', () => {
  const strace = spawnSync('strace', ['-V']).status === 0
  it.runIf(strace)(
    'is on disk before it is acknowledged (strace is needed to see it)',
    async () => {
      const trace = join(scratch, 'trace')
      const once = `
      import { writeSync } from 'node:fs'
      const engine = await lmdb(directory)
      for (let n = 0; n < 3; n++) {
        writeSync(1, 'registering\\n')
        await engine.register(api('i' + n))
        writeSync(1, 'acknowledged\\n')
      }
      await engine[Symbol.asyncDispose]()
    `
      await using writer = child(
        once,
        [],
        ['strace', '-f', '-o', trace, '-e', 'trace=openat,pwrite64,pwritev,writev,fdatasync,write'],
      )
      await writer.exited
      const calls = readFileSync(trace, 'utf8').split('\n')
      const synchronous = /data\.mdb", O_WRONLY\|O_DSYNC.* = (\d+)/.exec(calls.join('\n'))?.[1]
      expect(synchronous).toBeDefined()
      const steps = calls.flatMap((call) => {
        if (call.includes('"registering')) return 'registering'
        if (call.includes('"acknowledged')) return 'acknowledged'
        if (/fdatasync\(\d+\) += 0|fdatasync resumed.* = 0/.test(call)) return 'pages synced'
        return call.includes(`pwrite64(${synchronous},`) ? 'meta page written' : []
      })
      const commit = ['registering', 'pages synced', 'meta page written', 'acknowledged']
      expect(steps.slice(steps.indexOf('registering'))).toEqual([...commit, ...commit, ...commit])
    },
    60_000,
  )
})
