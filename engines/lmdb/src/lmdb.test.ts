import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import {
  type Engine,
  type Entry,
  type Holder,
  type Instance,
  type InstanceInput,
  type Item,
  instance,
  limits,
  passing,
} from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import fc from 'fast-check'
import { open as openLmdb } from 'lmdb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lmdb, open } from './lmdb.ts'

let scratch: string
let directory: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'seamark-lmdb-'))
  directory = join(scratch, 'data')
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

function api(id: string, more: Partial<InstanceInput> = {}): Instance {
  return instance({ namespace: 'default', service: 'api', id, address: '10.0.0.1', port: 3000, ...more })
}

async function content(engine: Engine): Promise<{ entries: Entry[]; holders: Holder[] }> {
  const stop = new AbortController()
  for await (const { changes } of engine.watchAll(stop.signal)) {
    stop.abort()
    const [reset] = changes
    if (reset?.type === 'reset')
      return {
        entries: [...reset.entries].sort((a, b) => (a.instance.id < b.instance.id ? -1 : 1)),
        holders: [...reset.holders],
      }
  }
  throw new Error('The watch did not begin with a reset.')
}

async function itemsOf(engine: Engine): Promise<Item[]> {
  for await (const { changes } of engine.watchItems('', new AbortController().signal)) {
    const [reset] = changes
    if (reset?.type === 'reset') return [...reset.items].sort((a, b) => (a.key < b.key ? -1 : 1))
  }
  throw new Error('The watch did not begin with a reset.')
}

async function ids(engine: Engine): Promise<string[]> {
  return (await content(engine)).entries.map(({ instance }) => instance.id)
}

describe('the lmdb engine, after a restart,', () => {
  it('has what it had: instances, their health, their revisions, their claims, and their leases', async () => {
    const full = api('i1', {
      version: '1.2.3',
      zone: 'eu',
      weight: 7,
      tags: ['blue', 'v1'],
      metadata: { team: 'payments' },
      checks: [
        { type: 'http', url: '/healthz', headers: { a: 'b' } },
        { type: 'command', command: ['true'] },
      ],
    })
    let before: Awaited<ReturnType<typeof content>>
    let token: string
    {
      await using engine = await lmdb(directory)
      const lease = await engine.register(full, { ttl: 10_000 })
      token = lease.token
      await engine.register(api('i2'))
      await engine.report(full, [{ id: 'http', status: 'warning', output: 'slow' }])
      await engine.claim('primary', lease)
      before = await content(engine)
    }
    await using engine = await lmdb(directory)
    const after = await content(engine)
    expect(after).toEqual(before)
    expect(after.entries[1]!.health).toBe(passing)
    expect(await engine.renew([token])).toEqual([true])
    expect(await engine.resume(token)).toMatchObject({ ttl: 10_000, key: { id: 'i1' } })
  })

  it('has its items, from none to half a megabyte, with their revisions', async () => {
    const values = { small: Buffer.from('x'), none: Buffer.alloc(0), large: randomBytes(500_000) }
    const written: Item[] = []
    {
      await using engine = await lmdb(directory)
      for (const [key, value] of Object.entries(values)) await engine.write([{ type: 'put', key, value }])
      await engine.write([{ type: 'put', key: 'gone', value: values.small }])
      await engine.write([
        { type: 'delete', key: 'gone' },
        { type: 'put', key: 'small', value: Buffer.from('y') },
      ])
      written.push(...(await itemsOf(engine)))
    }
    await using engine = await lmdb(directory)
    expect(await itemsOf(engine)).toEqual(written)
    expect(written.map(({ key }) => key)).toEqual(['large', 'none', 'small'])
  })

  it('has what a store of the first format had, which knew no items', async () => {
    {
      await using engine = await lmdb(directory)
      await engine.register(api('i1'))
    }
    await rewrite(join(directory, 'data.mdb'), async (store) => {
      const key = Buffer.of(1)
      const text = Buffer.from(JSON.stringify({ format: 1, revision: 1 }))
      const checksum = Buffer.alloc(4)
      checksum.writeUInt32LE(crc32(text, crc32(key)))
      await store.put(key, Buffer.concat([text, checksum]))
    })
    await using engine = await lmdb(directory)
    expect(await ids(engine)).toEqual(['i1'])
    expect(await engine.write([{ type: 'put', key: 'a', value: Buffer.from('1') }])).toBe(2)
  })

  it('shows entries that are frozen through and through', async () => {
    {
      await using engine = await lmdb(directory)
      await engine.register(
        api('i1', {
          tags: ['a'],
          metadata: { a: 'b' },
          checks: [{ type: 'http', url: '/', headers: { a: 'b' } }],
        }),
      )
    }
    await using engine = await lmdb(directory)
    const unfrozen: string[] = []
    const visit = (path: string, value: unknown) => {
      if (typeof value !== 'object' || value === null) return
      if (!Object.isFrozen(value)) unfrozen.push(path)
      for (const [name, part] of Object.entries(value)) visit(`${path}/${name}`, part)
    }
    visit('', (await content(engine)).entries[0])
    expect(unfrozen).toEqual([])
  })

  it('grants a full TTL, and then expires', async () => {
    const clock = fakeClock()
    {
      await using engine = await lmdb(directory, { clock })
      await engine.register(api('i1'), { ttl: 10_000 })
      await clock.advance(9_000)
    }
    await using engine = await lmdb(directory, { clock })
    await clock.advance(9_900)
    expect(await ids(engine)).toEqual(['i1'])
    await clock.advance(100 + engine.terms.lateness)
    await expect.poll(() => ids(engine)).toEqual([])
  })

  it('counts its revisions on, and never back', async () => {
    let last = 0
    for (let round = 0; round < 5; round++) {
      await using engine = await lmdb(directory)
      const { revision } = await engine.register(api('i1'))
      expect(revision).toBeGreaterThan(last)
      last = (await engine.deregister(api('i1')))!
      expect(last).toBeGreaterThan(revision)
    }
  })

  it('has forgotten what was deregistered or released, with its claims', async () => {
    {
      await using engine = await lmdb(directory)
      const leases = await Promise.all(['i1', 'i2', 'i3'].map((id) => engine.register(api(id))))
      await engine.claim('primary', leases[0]!)
      await engine.deregister(api('i1'))
      await engine.release(leases[1]!.token)
    }
    await using engine = await lmdb(directory)
    expect(await content(engine)).toMatchObject({ entries: [{ instance: { id: 'i3' } }], holders: [] })
  })

  it('has names of the greatest length and of every script, and records of the greatest weight', async () => {
    const longest = `${'\u{10ffff}'.repeat(63)}äx`
    expect(Buffer.byteLength(longest)).toBe(limits.nameBytes)
    const heavy = api(longest, {
      namespace: longest,
      service: longest,
      tags: Array.from({ length: limits.tags }, (_, n) => `${n}`.padEnd(limits.tagBytes, 't')),
      metadata: Object.fromEntries(
        Array.from({ length: limits.metadataPairs }, (_, n) => [
          `${n}`.padEnd(limits.metadataKeyBytes, 'k'),
          '\\"'.repeat(limits.metadataValueBytes / 2),
        ]),
      ),
    })
    const instances = [
      heavy,
      ...['a b/c', '日本語', '😀', 'é', 'e\u0301'].map((id) => api(id, { service: id })),
    ]
    {
      await using engine = await lmdb(directory)
      const leases = await Promise.all(instances.map((instance) => engine.register(instance)))
      await engine.claim(longest, leases[0]!)
    }
    await using engine = await lmdb(directory)
    const { entries, holders } = await content(engine)
    expect(new Set(entries.map(({ instance }) => instance))).toEqual(new Set(instances))
    expect(holders).toMatchObject([{ name: longest, id: longest }])
  })

  it('has what any run of registering, deregistering and restarting leaves', async () => {
    const step = fc.oneof(
      { weight: 20, arbitrary: fc.tuple(fc.constant('register'), fc.nat(400), fc.nat(60)) },
      { weight: 12, arbitrary: fc.tuple(fc.constant('deregister'), fc.nat(400), fc.constant(0)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant('restart'), fc.constant(0), fc.constant(0)) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 50, maxLength: 400 }), async (steps) => {
        const path = mkdtempSync(join(scratch, 'run-'))
        const expected = new Map<string, Instance>()
        let engine = await lmdb(path)
        let pending: Promise<unknown>[] = []
        for (const [what, number, weight] of steps) {
          const id = `instance-${number}`
          if (what === 'register') {
            const value = api(id, {
              metadata: Object.fromEntries(
                Array.from({ length: weight }, (_, n) => [`k${n}`, 'v'.repeat(99)]),
              ),
            })
            expected.set(id, value)
            pending.push(engine.register(value))
          } else if (what === 'deregister') {
            expected.delete(id)
            pending.push(engine.deregister(api(id)))
          } else {
            await Promise.all(pending)
            await engine[Symbol.asyncDispose]()
            engine = await lmdb(path)
          }
          if (pending.length % 7 === 0) await Promise.all(pending.splice(0))
        }
        await Promise.all(pending)
        pending = []
        await engine[Symbol.asyncDispose]()
        engine = await lmdb(path)
        const { entries } = await content(engine)
        await engine[Symbol.asyncDispose]()
        expect(new Map(entries.map(({ instance }) => [instance.id, instance]))).toEqual(expected)
      }),
      { numRuns: 15, endOnFailure: true },
    )
  }, 60_000)
})

describe('opening an lmdb store', () => {
  it.runIf(process.platform !== 'win32')(
    'makes a directory that is missing, for its owner only',
    async () => {
      await using _engine = await lmdb(join(directory, 'deep'))
      expect(statSync(join(directory, 'deep')).mode & 0o777).toBe(0o700)
      expect(statSync(join(directory, 'deep', 'data.mdb')).mode & 0o077).toBe(0)
    },
  )

  it('fills a directory that is empty, also after a start that was cut short', async () => {
    mkdirSync(directory)
    writeFileSync(join(directory, 'new.mdb'), randomBytes(5_000))
    await using engine = await lmdb(directory)
    expect(await ids(engine)).toEqual([])
    expect(readdirSync(directory)).not.toContain('new.mdb')
  })

  it.each([
    ['lmdb:%s', ''],
    ['lmdb://%s', ''],
    ['lmdb:%s', ' with%20ümlaut'],
  ])('takes a URL: %s', async (url, suffix) => {
    await using engine = await open(url.replace('%s', directory + suffix))
    await engine.register(api('i1'))
    expect(existsSync(join(directory + decodeURIComponent(suffix), 'data.mdb'))).toBe(true)
  })

  it('takes a URL relative to the working directory', async () => {
    const before = process.cwd
    process.cwd = () => scratch
    try {
      await using _engine = await open('lmdb:./data')
      expect(existsSync(join(directory, 'data.mdb'))).toBe(true)
    } finally {
      process.cwd = before
    }
  })

  it.each(['lmdb:', 'lmdb://', 'lmdb://data', 'lmdb://host/data', 'lmdb:data?x=1', 'lmdb:%zz', 'etcd:/data'])(
    'refuses the URL %s, and says what is right',
    async (url) => {
      await expect(open(url)).rejects.toMatchObject({
        code: 'configuration',
        message: expect.stringContaining('lmdb:./data'),
      })
    },
  )

  it('refuses a path that is a file', async () => {
    writeFileSync(directory, 'mine')
    await expect(lmdb(directory)).rejects.toMatchObject({ code: 'configuration' })
    await expect(lmdb(join(directory, 'below'))).rejects.toMatchObject({ code: 'configuration' })
    expect(readFileSync(directory, 'utf8')).toBe('mine')
  })

  it('refuses a store that is open already, which goes on unharmed', async () => {
    await using engine = await lmdb(directory)
    await expect(lmdb(directory)).rejects.toMatchObject({
      code: 'store_in_use',
      message: expect.stringContaining(`${process.pid}`),
    })
    await engine.register(api('i1'))
    expect(await ids(engine)).toEqual(['i1'])
  })

  describe('that is damaged or not ours', () => {
    const damages: Record<string, { code: string; damage: (path: string) => void | Promise<void> }> = {
      'is empty': { code: 'store_damaged', damage: (path) => truncateSync(path, 0) },
      'ends within the first page': { code: 'store_damaged', damage: (path) => truncateSync(path, 100) },
      'ends after the first page': { code: 'store_damaged', damage: (path) => truncateSync(path, 4_096) },
      'has only its meta pages': { code: 'store_damaged', damage: (path) => truncateSync(path, 8_192) },
      'has lost most of its pages': { code: 'store_damaged', damage: (path) => truncateSync(path, 65_536) },
      'is random bytes': {
        code: 'store_damaged',
        damage: (path) => writeFileSync(path, randomBytes(statSync(path).size)),
      },
      'is random bytes after its meta pages': {
        code: 'store_damaged',
        damage: (path) => overwrite(path, 8_192, randomBytes(statSync(path).size - 8_192)),
      },
      'is zeros after its meta pages': {
        code: 'store_damaged',
        damage: (path) => overwrite(path, 8_192, Buffer.alloc(statSync(path).size - 8_192)),
      },
      'is text': {
        code: 'store_damaged',
        damage: (path) => writeFileSync(path, 'not a store\n'.repeat(9_999)),
      },
      'has one letter of a record changed': {
        code: 'store_damaged',
        damage: (path) => {
          for (const at of occurrences(readFileSync(path), '10.0.0.1'))
            overwrite(path, at, Buffer.from('10.0.0.2'))
        },
      },
      'has one letter of a key changed': {
        code: 'store_damaged',
        damage: (path) => {
          for (const at of occurrences(readFileSync(path), 'api\0')) overwrite(path, at, Buffer.from('apo\0'))
        },
      },
      'has pages in each other\u2019s place': {
        code: 'store_damaged',
        damage: (path) => {
          const bytes = readFileSync(path)
          overwrite(path, 8_192, bytes.subarray(8_192 + 4_096, bytes.length))
        },
      },
      'is another program\u2019s': {
        code: 'store_damaged',
        damage: (path) =>
          rewrite(path, async (store) => void (await store.put(Buffer.from('a'), Buffer.from('b')))),
      },
      'has lost the record about itself': {
        code: 'store_damaged',
        damage: (path) => rewrite(path, async (store) => void (await store.remove(Buffer.of(1)))),
      },
      'was written by a newer LMDB': {
        code: 'store_too_new',
        damage: (path) => {
          overwrite(path, 28, Buffer.of(3, 0, 0, 0))
          overwrite(path, 4_096 + 28, Buffer.of(3, 0, 0, 0))
        },
      },
    }
    it.each(Object.entries(damages))(
      'refuses one that %s, and leaves it as it is',
      async (_, { code, damage }) => {
        {
          await using engine = await lmdb(directory)
          for (let round = 0; round < 3; round++)
            await Promise.all(Array.from({ length: 200 }, (_, n) => engine.register(api(`instance-${n}`))))
        }
        const path = join(directory, 'data.mdb')
        await damage(path)
        const before = digest(path)
        for (let attempt = 0; attempt < 2; attempt++)
          await expect(lmdb(directory)).rejects.toMatchObject({
            code,
            message: expect.stringContaining(path),
          })
        expect(digest(path)).toBe(before)
        expect(
          readdirSync(directory).filter((name) => name.includes('mdb') && !name.endsWith('-lock')),
        ).toEqual(['data.mdb'])
      },
    )

    it('refuses one that was damaged anywhere, or reads from it what was there', async () => {
      const items: Item[] = []
      {
        await using engine = await lmdb(directory)
        for (let round = 0; round < 3; round++)
          await Promise.all(Array.from({ length: 60 }, (_, n) => engine.register(api(`instance-${n}`))))
        await engine.write([{ type: 'put', key: 'large', value: randomBytes(20_000) }])
        items.push(...(await itemsOf(engine)))
      }
      const path = join(directory, 'data.mdb')
      const intact = readFileSync(path)
      const used = intact.findLastIndex((byte) => byte !== 0)
      const expected = Array.from({ length: 60 }, (_, n) => `instance-${n}`).sort()
      await fc.assert(
        fc.asyncProperty(fc.nat(used), fc.uint8Array({ minLength: 1, maxLength: 64 }), async (at, bytes) => {
          writeFileSync(path, intact)
          overwrite(path, at, Buffer.from(bytes.subarray(0, intact.length - at)))
          const before = digest(path)
          const opened = await lmdb(directory).catch((error) => error)
          if (opened instanceof Error) {
            expect(opened).toMatchObject({ code: expect.stringMatching(/^store_(damaged|too_new)$/) })
            expect(digest(path)).toBe(before)
          } else {
            expect(await ids(opened)).toEqual(expected)
            expect(await itemsOf(opened)).toEqual(items)
            await opened[Symbol.asyncDispose]()
          }
        }),
        { numRuns: 200 },
      )
    })
  })
})

function overwrite(path: string, at: number, bytes: Buffer): void {
  const file = openSync(path, 'r+')
  writeSync(file, bytes, 0, bytes.length, at)
  closeSync(file)
}

function occurrences(bytes: Buffer, text: string): number[] {
  const found: number[] = []
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) found.push(at)
  return found
}

async function rewrite(path: string, change: (store: ReturnType<typeof openLmdb>) => Promise<void>) {
  const store = openLmdb({ path, noSubdir: true, keyEncoding: 'binary', encoding: 'binary' })
  await change(store)
  await store.close()
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}
