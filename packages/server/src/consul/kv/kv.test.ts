import { memory } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { type Asking, asking } from '../../../test/asking.ts'
import { condition } from '../../../test/condition.ts'

async function value(asked: Asking, key: string): Promise<string> {
  return (await asked.ask('GET', `/kv/${key}?raw`)).text
}

async function session(asked: Asking, fields: object = {}): Promise<string> {
  const answer = await asked.ask('PUT', '/session/create', fields)
  expect(answer.status, answer.text).toBe(200)
  return answer.json.ID
}

describe('keys and values', () => {
  it('keep what is put, and print it as Consul does', async () => {
    await using asked = await asking()
    const answer = await asked.ask('PUT', '/kv/a/b?flags=42', 'hello')
    expect(answer.text).toBe('true')
    const read = await asked.ask('GET', '/kv/a/b')
    const index = Number(read.headers.get('x-consul-index'))
    expect(read.text).toBe(
      `[{"LockIndex":0,"Key":"a/b","Flags":42,"Value":"aGVsbG8=","CreateIndex":${index},"ModifyIndex":${index}}]`,
    )
    expect(read.headers.get('content-type')).toBe('application/json')
  })

  it('are told raw, so that no browser takes them for a page', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/kv/page', '<script>')
    const { text, headers } = await asked.ask('GET', '/kv/page?raw')
    expect(text).toBe('<script>')
    expect(headers.get('content-type')).toBe('text/plain')
    expect(headers.get('content-security-policy')).toBe('sandbox')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('hold any bytes, up to 512 KB', async () => {
    await using asked = await asking()
    const bytes = Buffer.alloc(524_288, '\u0000\u00ff<>')
    expect((await asked.ask('PUT', '/kv/big', bytes)).text).toBe('true')
    const [{ Value }] = (await asked.ask('GET', '/kv/big')).json
    expect(Buffer.compare(Buffer.from(Value, 'base64'), bytes)).toBe(0)
    const refused = await asked.ask('PUT', '/kv/big', Buffer.alloc(524_289))
    expect(refused.status).toBe(413)
    expect(refused.text).toBe(
      'Request body(524289 bytes) too large, max size: 524288 bytes. See https://www.consul.io/docs/agent/options.html#kv_max_value_size.',
    )
  })

  it('have flags of 64 bits, to the last one', async () => {
    await using asked = await asking()
    // What `consul lock` marks its keys with is one of those that a double does not hold.
    for (const flags of ['3304740253564472344', '18446744073709551615', '9007199254740993', '0']) {
      await asked.ask('PUT', `/kv/flagged?flags=${flags}`, 'x')
      expect((await asked.ask('GET', '/kv/flagged')).text).toContain(`"Flags":${flags},`)
    }
  })

  it('print an empty value as null', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/kv/empty')
    expect((await asked.ask('GET', '/kv/empty')).json).toMatchObject([{ Value: null }])
    expect((await asked.ask('GET', '/kv/empty?raw')).text).toBe('')
  })

  it('keep their index when a write changes nothing', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/kv/same', 'v')
    const before = await asked.ask('GET', '/kv/same')
    expect((await asked.ask('PUT', '/kv/same', 'v')).text).toBe('true')
    expect((await asked.ask('GET', '/kv/same')).text).toBe(before.text)
    await asked.ask('PUT', '/kv/same', 'w')
    const [{ CreateIndex, ModifyIndex }] = (await asked.ask('GET', '/kv/same')).json
    expect(CreateIndex).toBe(before.json[0].CreateIndex)
    expect(ModifyIndex).toBeGreaterThan(before.json[0].ModifyIndex)
  })

  it('are not there with 404, an empty body and an index to wait from', async () => {
    await using asked = await asking()
    for (const path of ['/kv/none', '/kv/none?recurse', '/kv/none?keys', '/kv/?recurse']) {
      const { status, text, headers } = await asked.ask('GET', path)
      expect([status, text]).toEqual([404, ''])
      expect(Number(headers.get('x-consul-index'))).toBeGreaterThanOrEqual(1)
    }
    expect((await asked.ask('GET', '/kv/?keys')).text).toBe('[]')
  })

  it('are listed by prefix, in order, and up to a separator', async () => {
    await using asked = await asking()
    for (const key of ['b/c/d', 'a', 'b/f', 'b/c/e', 'bb']) await asked.ask('PUT', `/kv/${key}`, key)
    const keys = async (path: string) => (await asked.ask('GET', path)).json
    expect(await keys('/kv/?keys')).toEqual(['a', 'b/c/d', 'b/c/e', 'b/f', 'bb'])
    expect(await keys('/kv/b?keys&separator=/')).toEqual(['b/', 'bb'])
    expect(await keys('/kv/b/?keys&separator=/')).toEqual(['b/c/', 'b/f'])
    expect(await keys('/kv/b/?keys&separator=zz')).toEqual(['b/c/d', 'b/c/e', 'b/f'])
    const all = await keys('/kv/b/?recurse')
    expect(all.map(({ Key }: { Key: string }) => Key)).toEqual(['b/c/d', 'b/c/e', 'b/f'])
  })

  it('are removed alone, by index, and with all below', async () => {
    await using asked = await asking()
    for (let number = 0; number < 150; number++) await asked.ask('PUT', `/kv/t/${number}`, 'x')
    await asked.ask('PUT', '/kv/u', 'x')
    expect((await asked.ask('DELETE', '/kv/t/0')).text).toBe('true')
    expect((await asked.ask('DELETE', '/kv/t/0')).text).toBe('true')
    expect((await asked.ask('DELETE', '/kv/t/1?cas=1')).text).toBe('false')
    const [{ ModifyIndex }] = (await asked.ask('GET', '/kv/t/1')).json
    expect((await asked.ask('DELETE', `/kv/t/1?cas=${ModifyIndex}`)).text).toBe('true')
    expect((await asked.ask('DELETE', '/kv/none?cas=5')).text).toBe('true')
    expect((await asked.ask('GET', '/kv/t/?keys')).json).toHaveLength(148)
    expect((await asked.ask('DELETE', '/kv/t/?recurse')).text).toBe('true')
    expect((await asked.ask('GET', '/kv/?keys')).json).toEqual(['u'])
    await asked.ask('DELETE', '/kv/?recurse')
    expect((await asked.ask('GET', '/kv/?keys')).json).toEqual([])
  })

  it('are written by index only when that is still theirs', async () => {
    await using asked = await asking()
    expect((await asked.ask('PUT', '/kv/c?cas=5', 'x')).text).toBe('false')
    expect((await asked.ask('PUT', '/kv/c?cas=0', '1')).text).toBe('true')
    expect((await asked.ask('PUT', '/kv/c?cas=0', '2')).text).toBe('false')
    const [{ ModifyIndex }] = (await asked.ask('GET', '/kv/c')).json
    expect((await asked.ask('PUT', `/kv/c?cas=${ModifyIndex}`, '2')).text).toBe('true')
    expect((await asked.ask('PUT', `/kv/c?cas=${ModifyIndex}`, '3')).text).toBe('false')
    expect(await value(asked, 'c')).toBe('2')
  })

  it('count right while fifty clients count through two servers', async () => {
    await using engine = memory()
    await using a = await asking({ engine })
    await using b = await asking({ engine })
    const increment = async (asked: Asking) => {
      for (;;) {
        const read = await asked.ask('GET', '/kv/counter')
        const [entry] = read.json ?? [{ ModifyIndex: 0, Value: '' }]
        const count = Number(Buffer.from(entry.Value, 'base64').toString() || '0')
        const written = await asked.ask('PUT', `/kv/counter?cas=${entry.ModifyIndex}`, String(count + 1))
        if (written.text === 'true') return
      }
    }
    await Promise.all(Array.from({ length: 50 }, (_, client) => increment(client % 2 === 0 ? a : b)))
    expect(await value(a, 'counter')).toBe('50')
    await condition(async () => (await value(b, 'counter')) === '50')
  })

  it('are all written while many put the same key', async () => {
    await using engine = memory()
    await using a = await asking({ engine })
    await using b = await asking({ engine })
    const put = (_: unknown, number: number) =>
      (number % 2 === 0 ? a : b).ask('PUT', '/kv/hot', String(number))
    const answers = await Promise.all(Array.from({ length: 100 }, put))
    expect(answers.map(({ text }) => text)).toEqual(Array(100).fill('true'))
  })

  it('are seen by the next read, whoever asks', async () => {
    await using asked = await asking()
    for (let round = 0; round < 50; round++) {
      await asked.ask('PUT', '/kv/r', String(round))
      expect(await value(asked, 'r')).toBe(String(round))
    }
  })
})

describe('locks', () => {
  it('are taken, held and released, and count how often', async () => {
    await using asked = await asking()
    const [mine, other] = [await session(asked), await session(asked)]
    expect((await asked.ask('PUT', `/kv/l?acquire=${mine}&flags=7`, 'v1')).text).toBe('true')
    expect((await asked.ask('GET', '/kv/l')).json).toMatchObject([{ LockIndex: 1, Flags: 7, Session: mine }])
    expect((await asked.ask('PUT', `/kv/l?acquire=${other}`, 'no')).text).toBe('false')
    expect((await asked.ask('PUT', `/kv/l?release=${other}`, 'no')).text).toBe('false')
    expect((await asked.ask('PUT', `/kv/l?acquire=${mine}`, 'v2')).text).toBe('true')
    expect((await asked.ask('GET', '/kv/l')).json).toMatchObject([{ LockIndex: 1, Value: 'djI=' }])
    expect((await asked.ask('PUT', `/kv/l?release=${mine}`, 'v3')).text).toBe('true')
    const [released] = (await asked.ask('GET', '/kv/l')).json
    expect(released).toMatchObject({ LockIndex: 1, Value: 'djM=' })
    expect(released).not.toHaveProperty('Session')
    expect((await asked.ask('PUT', `/kv/l?acquire=${other}`, 'v4')).text).toBe('true')
    expect((await asked.ask('GET', '/kv/l')).json).toMatchObject([{ LockIndex: 2, Session: other }])
  })

  it('are advisory: a plain write goes through, and leaves the lock, but not its count', async () => {
    await using asked = await asking()
    const mine = await session(asked)
    await asked.ask('PUT', `/kv/l?acquire=${mine}`, 'v1')
    expect((await asked.ask('PUT', '/kv/l', 'v2')).text).toBe('true')
    expect((await asked.ask('GET', '/kv/l')).json).toMatchObject([
      { LockIndex: 0, Value: 'djI=', Session: mine },
    ])
  })

  it('are held by one of many who try at once, through two servers', async () => {
    await using engine = memory()
    await using a = await asking({ engine })
    await using b = await asking({ engine })
    let held = 0
    let most = 0
    const locking = async (asked: Asking) => {
      const mine = await session(asked, { LockDelay: '0s' })
      for (let taken = 0; taken < 3; ) {
        if ((await asked.ask('PUT', `/kv/lock?acquire=${mine}`, mine)).text !== 'true') continue
        most = Math.max(most, ++held)
        await new Promise((resolve) => setImmediate(resolve))
        held--
        taken++
        expect((await asked.ask('PUT', `/kv/lock?release=${mine}`, mine)).text).toBe('true')
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, client) => locking(client % 2 === 0 ? a : b)))
    expect(most).toBe(1)
    expect((await a.ask('GET', '/kv/lock')).json).toMatchObject([{ LockIndex: 24 }])
  })
})

describe('watching keys', () => {
  it('waits until the key changes, and for no other', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/kv/w', '1')
    const index = (await asked.ask('GET', '/kv/w')).headers.get('x-consul-index')
    let answered = false
    const waiting = asked.ask('GET', `/kv/w?index=${index}&wait=60s`).then((answer) => {
      answered = true
      return answer
    })
    for (let round = 0; round < 20; round++) await asked.ask('PUT', `/kv/elsewhere/${round}`, 'x')
    expect(answered).toBe(false)
    await asked.ask('PUT', '/kv/w', '2')
    expect((await waiting).json).toMatchObject([{ Value: 'Mg==' }])
  })

  it('waits for a key that is not there, and sees it go again', async () => {
    await using asked = await asking()
    const none = await asked.ask('GET', '/kv/new')
    const created = asked.ask('GET', `/kv/new?index=${none.headers.get('x-consul-index')}&wait=60s`)
    await asked.ask('PUT', '/kv/new', '1')
    const { status, headers } = await created
    expect(status).toBe(200)
    const removed = asked.ask('GET', `/kv/new?index=${headers.get('x-consul-index')}&wait=60s`)
    await asked.ask('DELETE', '/kv/new')
    const gone = await removed
    expect(gone.status).toBe(404)
    expect(Number(gone.headers.get('x-consul-index'))).toBeGreaterThan(Number(headers.get('x-consul-index')))
  })

  it('of a prefix wakes for what is below, removals too, and its index never falls', async () => {
    await using asked = await asking()
    await asked.ask('PUT', '/kv/p/1', 'x')
    await asked.ask('PUT', '/kv/p/2', 'x')
    let index = Number((await asked.ask('GET', '/kv/p/?recurse')).headers.get('x-consul-index'))
    for (const [method, key, left] of [
      ['PUT', 'p/3', 3],
      ['DELETE', 'p/3', 2],
      ['DELETE', 'p/2', 1],
      ['DELETE', 'p/1', 0],
    ] as const) {
      const waiting = asked.ask('GET', `/kv/p/?keys&index=${index}&wait=60s`)
      await asked.ask('PUT', '/kv/q', `${method} ${key}`)
      await asked.ask(method, `/kv/${key}`, method === 'PUT' ? 'y' : undefined)
      const answer = await waiting
      expect(answer.json ?? []).toHaveLength(left)
      const next = Number(answer.headers.get('x-consul-index'))
      expect(next).toBeGreaterThan(index)
      index = next
    }
  })
})

describe('what is no good request for a key', () => {
  it.each([
    ['GET', '/kv/', 400, 'Missing key name'],
    ['PUT', '/kv/', 400, 'Missing key name'],
    ['DELETE', '/kv/', 400, 'Missing key name'],
    ['PUT', '/kv/a?flags=x', 500, 'strconv.ParseUint: parsing "x": invalid syntax'],
    ['PUT', '/kv/a?flags=-1', 500, 'strconv.ParseUint: parsing "-1": invalid syntax'],
    ['PUT', '/kv/a?flags=', 500, 'strconv.ParseUint: parsing "": invalid syntax'],
    [
      'PUT',
      '/kv/a?flags=18446744073709551616',
      500,
      'strconv.ParseUint: parsing "18446744073709551616": value out of range',
    ],
    ['PUT', '/kv/a?cas=x', 500, 'strconv.ParseUint: parsing "x": invalid syntax'],
    ['DELETE', '/kv/a?cas=x', 500, 'strconv.ParseUint: parsing "x": invalid syntax'],
    ['PUT', '/kv/a?cas=1&acquire=x', 400, 'Conflicting flags: acquire=x&cas=1'],
    ['DELETE', '/kv/a?recurse&cas=1', 400, 'Conflicting flags: cas=1&recurse='],
    ['PUT', '/kv/a?acquire=', 500, 'missing session'],
    ['PUT', '/kv/a?release=', 500, 'missing session'],
    ['PUT', '/kv/a?acquire=x', 500, 'failed session lookup: index error: UUID must be 36 characters'],
    [
      'PUT',
      '/kv/a?acquire=00000000-0000-0000-0000-000000000000',
      500,
      'invalid session "00000000-0000-0000-0000-000000000000"',
    ],
    ['PUT', '/kv/a?dc=elsewhere', 500, 'No path to datacenter'],
    ['GET', '/kv/a?index=x', 400, 'Invalid index'],
    ['GET', '/kv/a?wait=x', 400, 'Invalid wait time'],
    ['GET', '/kv/a?stale&consistent', 400, 'Cannot specify ?stale with ?consistent, conflicting semantics.'],
    ['POST', '/kv/a', 405, 'method POST not allowed'],
    ['PUT', `/kv/${'k'.repeat(1_001)}`, 400, 'key must have at most 1000 bytes of UTF-8'],
    ['PUT', '/kv/a%0Ab', 400, ''],
  ])('%s %s is answered %i', async (method, path, status, text) => {
    await using asked = await asking()
    const answer = await asked.ask(method, path, method === 'GET' ? undefined : 'x')
    expect([answer.status, answer.text]).toEqual([status, text])
    expect((await asked.ask('GET', '/kv/?keys')).text).toBe('[]')
  })

  it('is none because of its slashes', async () => {
    await using asked = await asking()
    expect((await asked.ask('PUT', '/kv//a%20b//c', 'x')).text).toBe('true')
    expect((await asked.ask('GET', '/kv/?keys')).json).toEqual(['/a b//c'])
  })

  it('does not let what somebody wrote beside the face get in its way', async () => {
    await using asked = await asking()
    const junk = ['consul/kv/x', 'consul/session/x', 'consul/query/x', 'consul/lock-delay/x']
    for (const key of [...junk, 'consul/session-renewal/x'])
      await asked.engine.write([{ type: 'put', key, value: Buffer.from('junk') }])
    expect((await asked.ask('GET', '/kv/x')).status).toBe(404)
    expect((await asked.ask('PUT', '/kv/x', 'mine')).text).toBe('true')
    await condition(async () => (await value(asked, 'x')) === 'mine')
    expect((await asked.ask('GET', '/session/list')).json).toEqual([])
    expect((await asked.ask('GET', '/query')).json).toEqual([])
  })
})
