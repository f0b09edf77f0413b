import type { Interactions } from '../api.ts'

export const kv: Interactions = {
  'put, get and delete': async ({ put, get, delete: remove }) => {
    await put('/v1/kv/a', 'hello')
    await get('/v1/kv/a')
    await remove('/v1/kv/a')
    await get('/v1/kv/a')
    await remove('/v1/kv/a')
  },
  'an empty value is null, and no body is one': async ({ put, get }) => {
    await put('/v1/kv/empty', '')
    await get('/v1/kv/empty')
    await get('/v1/kv/empty?raw')
    await put('/v1/kv/none')
    await get('/v1/kv/none')
  },
  raw: async ({ put, get }) => {
    await put('/v1/kv/a', '{"json": true}')
    await get('/v1/kv/a?raw')
    await put('/v1/kv/html', '<html><script>')
    await get('/v1/kv/html?raw')
    await get('/v1/kv/none?raw')
    await get('/v1/kv/?raw&recurse')
  },
  flags: async ({ put, get, note, peek }) => {
    await put('/v1/kv/a?flags=42', 'x')
    await get('/v1/kv/a')
    await put('/v1/kv/a', 'y')
    await get('/v1/kv/a')
    await put('/v1/kv/b?flags=18446744073709551615', 'x')
    note('all 64 bits', /"Flags":(\d+)/.exec((await peek('/v1/kv/b')).text)?.[1])
    await put('/v1/kv/c?flags=-1', 'x')
    await put('/v1/kv/c?flags=x', 'x')
    await put('/v1/kv/c?flags=', 'x')
    await get('/v1/kv/c')
  },
  recurse: async ({ put, get }) => {
    for (const key of ['web/a', 'web/b/c', 'web', 'website', 'other']) await put(`/v1/kv/${key}`, key)
    await get('/v1/kv/web?recurse')
    await get('/v1/kv/web/?recurse')
    await get('/v1/kv/web/?recurse=true')
    await get('/v1/kv/?recurse')
    await get('/v1/kv/none?recurse')
    await get('/v1/kv/web/')
  },
  'keys and separator': async ({ put, get }) => {
    for (const key of ['web/a', 'web/b/c', 'web/b/d', 'web', 'other']) await put(`/v1/kv/${key}`, key)
    await get('/v1/kv/?keys')
    await get('/v1/kv/web/?keys')
    await get('/v1/kv/web/?keys&separator=/')
    await get('/v1/kv/web?keys&separator=/')
    await get('/v1/kv/?keys&separator=/')
    await get('/v1/kv/?keys&separator=b')
    await get('/v1/kv/?keys&separator=')
    await get('/v1/kv/none?keys')
    await get('/v1/kv/web/?keys&recurse')
  },
  'a folder is a key that ends with a slash': async ({ put, get }) => {
    await put('/v1/kv/folder/')
    await get('/v1/kv/folder/')
    await get('/v1/kv/folder')
    await get('/v1/kv/folder?keys')
    await get('/v1/kv/folder/?recurse')
  },
  'keys of any letters': async ({ put, get, delete: remove }) => {
    await put('/v1/kv/a%20b', 'blank')
    await put('/v1/kv/a%2Fb', 'slash')
    await put('/v1/kv/%C3%BC', 'umlaut')
    await put('/v1/kv/a%3Fb', 'question mark')
    await put('/v1/kv/a+b', 'plus')
    await get('/v1/kv/?keys')
    await get('/v1/kv/a/b')
    await get('/v1/kv/a%20b?raw')
    await get('/v1/kv/%C3%BC?raw')
    await remove('/v1/kv/a%3Fb')
    await get('/v1/kv/?keys')
  },
  'two slashes': async ({ put, get }) => {
    await put('/v1/kv/a//b', 'two slashes')
    await get('/v1/kv/a//b')
  },
  'keys with letters that cannot be printed': async ({ put }) => {
    await put('/v1/kv/a%00b', 'x')
    await put('/v1/kv/a%0Ab', 'x')
    await put('/v1/kv/%zz', 'x')
  },
  'keys differ by their case': async ({ put, get }) => {
    await put('/v1/kv/A', 'upper')
    await put('/v1/kv/a', 'lower')
    await get('/v1/kv/A?raw')
    await get('/v1/kv/?keys')
  },
  'no key': async ({ put, get, delete: remove }) => {
    await get('/v1/kv/')
    await get('/v1/kv')
    await put('/v1/kv/', 'x')
    await remove('/v1/kv/')
  },
  'delete: recurse': async ({ put, get, delete: remove }) => {
    for (const key of ['web/a', 'web/b/c', 'web', 'website', 'other']) await put(`/v1/kv/${key}`, key)
    await remove('/v1/kv/web/?recurse')
    await get('/v1/kv/?keys')
    await remove('/v1/kv/web?recurse=true')
    await get('/v1/kv/?keys')
    await remove('/v1/kv/none?recurse')
    await remove('/v1/kv/?recurse')
    await get('/v1/kv/?keys')
  },
  'cas: 0 only creates': async ({ put, get }) => {
    await put('/v1/kv/a?cas=0', 'first')
    await put('/v1/kv/a?cas=0', 'second')
    await get('/v1/kv/a?raw')
  },
  'cas: an index that is not its': async ({ put, get }) => {
    await put('/v1/kv/a', 'first')
    await put('/v1/kv/a?cas=1', 'no')
    await get('/v1/kv/a?raw')
    await put('/v1/kv/none?cas=7', 'x')
    await put('/v1/kv/a?cas=x', 'x')
    await put('/v1/kv/a?cas=', 'x')
    await put('/v1/kv/a?cas=-1', 'x')
  },
  'cas: with the index of what was read': async ({ put, peek, get, note }) => {
    await put('/v1/kv/a', 'first')
    const [read] = (await peek('/v1/kv/a')).json<{ ModifyIndex: number; CreateIndex: number }[]>()
    note('created and modified at once', read!.CreateIndex === read!.ModifyIndex)
    await put(`/v1/kv/a?cas=${read!.ModifyIndex}`, 'second')
    await put(`/v1/kv/a?cas=${read!.ModifyIndex}`, 'third')
    const [after] = (await get('/v1/kv/a')).json<{ ModifyIndex: number; CreateIndex: number }[]>()
    note('created when it was', after!.CreateIndex === read!.CreateIndex)
    note('modified later', after!.ModifyIndex > read!.ModifyIndex)
  },
  'cas: delete': async ({ put, peek, get, delete: remove }) => {
    await put('/v1/kv/a', 'first')
    const [read] = (await peek('/v1/kv/a')).json<{ ModifyIndex: number }[]>()
    await remove('/v1/kv/a?cas=1')
    await remove('/v1/kv/a?cas=0')
    await remove('/v1/kv/a?cas=x')
    await remove(`/v1/kv/a?cas=${read!.ModifyIndex}`)
    await get('/v1/kv/a')
    await remove('/v1/kv/none?cas=7')
    await remove('/v1/kv/none?cas=0')
    await remove('/v1/kv/a?cas=1&recurse')
  },
  'the same value again changes no index': async ({ put, get, note }) => {
    await put('/v1/kv/a?flags=1', 'x')
    const { index } = await get('/v1/kv/a')
    await put('/v1/kv/a?flags=1', 'x')
    note('index unchanged', (await get('/v1/kv/a')).index === index)
    await put('/v1/kv/a?flags=2', 'x')
    note('index grew with the flags', (await get('/v1/kv/a')).index > index)
  },
  'X-Consul-Index is that of the key, or of what is below the prefix': async ({ put, peek, note }) => {
    await put('/v1/kv/web/a', '1')
    await put('/v1/kv/web/b', '1')
    const index = async (path: string) => (await peek(path)).index
    const modified = async (key: string) =>
      (await peek(`/v1/kv/${key}`)).json<{ ModifyIndex: number }[]>()[0]!.ModifyIndex
    note('of a key', (await index('/v1/kv/web/a')) === (await modified('web/a')))
    note('of a prefix', (await index('/v1/kv/web/?recurse')) === (await modified('web/b')))
    note('of keys', (await index('/v1/kv/web/?keys')) === (await modified('web/b')))
    note('of a key that is not there', (await index('/v1/kv/none')) >= (await modified('web/b')))
    const before = await index('/v1/kv/web/?recurse')
    await put('/v1/kv/other', '1')
    note('unchanged by others', (await index('/v1/kv/web/?recurse')) === before)
  },
  'a value of 512 KB is taken, a longer one is not': async ({ send, note }) => {
    for (const length of [512 * 1024, 512 * 1024 + 1]) {
      const { status, text } = await send('PUT', '/v1/kv/big', 'x'.repeat(length))
      note(`${length} bytes`, `${status} ${text}`)
    }
  },
  'acquire and release': async ({ put, get }) => {
    const { ID } = (await put('/v1/session/create', { LockDelay: '0s' })).json<{ ID: string }>()
    const { ID: other } = (await put('/v1/session/create', { LockDelay: '0s' })).json<{ ID: string }>()
    await put(`/v1/kv/lock-7?acquire=${ID}`, 'mine')
    await get('/v1/kv/lock-7')
    await put(`/v1/kv/lock-7?acquire=${other}`, 'theirs')
    await get('/v1/kv/lock-7')
    await put(`/v1/kv/lock-7?acquire=${ID}`, 'mine again')
    await get('/v1/kv/lock-7')
    await put(`/v1/kv/lock-7?release=${other}`, 'x')
    await put(`/v1/kv/lock-7?release=${ID}`, 'given back')
    await get('/v1/kv/lock-7')
    await put(`/v1/kv/lock-7?release=${ID}`, 'x')
    await put(`/v1/kv/lock-7?acquire=${other}`, 'theirs')
    await get('/v1/kv/lock-7')
  },
  'acquire: a session that there is not': async ({ put }) => {
    await put('/v1/kv/lock-8?acquire=none', 'x')
    await put('/v1/kv/lock-8?acquire=5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11', 'x')
    await put('/v1/kv/lock-8?release=5e3a2a9c-5c6c-4d9f-9d2f-0c6f2d1d9f11', 'x')
    await put('/v1/kv/lock-8?acquire=', 'x')
    await put('/v1/kv/lock-8?release=', 'x')
  },
  'a plain write changes what is locked, and leaves it locked': async ({ put, get }) => {
    const { ID } = (await put('/v1/session/create')).json<{ ID: string }>()
    await put(`/v1/kv/lock-9?acquire=${ID}`, 'mine')
    await put('/v1/kv/lock-9', 'by another')
    await get('/v1/kv/lock-9')
  },
  'a delete removes what is locked': async ({ put, get, delete: remove }) => {
    const { ID } = (await put('/v1/session/create')).json<{ ID: string }>()
    await put(`/v1/kv/lock-10?acquire=${ID}`, 'mine')
    await remove('/v1/kv/lock-10')
    await get('/v1/kv/lock-10')
    await put(`/v1/kv/lock-10?acquire=${ID}`, 'mine')
  },
  'what excludes another': async ({ put }) => {
    const { ID } = (await put('/v1/session/create')).json<{ ID: string }>()
    await put(`/v1/kv/lock-11?acquire=${ID}&release=${ID}`, 'x')
    await put(`/v1/kv/lock-11?cas=0&acquire=${ID}`, 'x')
    await put(`/v1/kv/lock-11?cas=0&release=${ID}`, 'x')
    await put('/v1/kv/lock-11?cas=0&flags=3', 'x')
  },
  'blocking: a key': async ({ put, get, note }) => {
    await put('/v1/kv/a', '1')
    const { index } = await get('/v1/kv/a')
    let answered = false
    const blocked = get(`/v1/kv/a?index=${index}&wait=20s`).then((answer) => {
      answered = true
      return answer
    })
    await put('/v1/kv/b', '1')
    await put('/v1/agent/service/register', { Name: 'web' })
    note('still waits after changes elsewhere', !answered)
    await put('/v1/kv/a', '2')
    note('index grew', (await blocked).index > index)
  },
  'blocking: a key that is not there yet': async ({ put, get, note }) => {
    await put('/v1/kv/other', '1')
    const { index } = await get('/v1/kv/a')
    const blocked = get(`/v1/kv/a?index=${index}&wait=20s`)
    await put('/v1/kv/a', '1')
    note('index grew', (await blocked).index > index)
  },
  'blocking: a key that goes': async ({ put, get, note, delete: remove }) => {
    await put('/v1/kv/a', '1')
    const { index } = await get('/v1/kv/a')
    const blocked = get(`/v1/kv/a?index=${index}&wait=20s`)
    await remove('/v1/kv/a')
    note('index grew', (await blocked).index > index)
  },
  'blocking: a prefix, and keys': async ({ put, get, note, delete: remove }) => {
    await put('/v1/kv/web/a', '1')
    const recurse = await get('/v1/kv/web/?recurse')
    const blocked = get(`/v1/kv/web/?recurse&index=${recurse.index}&wait=20s`)
    const blockedKeys = get(`/v1/kv/web/?keys&index=${recurse.index}&wait=20s`)
    await put('/v1/kv/other', '1')
    await put('/v1/kv/web/b', '1')
    note('index of the prefix grew', (await blocked).index > recurse.index)
    note('index of the keys grew', (await blockedKeys).index > recurse.index)
    const { index } = await get('/v1/kv/web/?recurse')
    const gone = get(`/v1/kv/web/?recurse&index=${index}&wait=20s`)
    await remove('/v1/kv/web/a')
    note('index grew as one went', (await gone).index > index)
  },
  'blocking: the wait is over': async ({ put, get, note }) => {
    await put('/v1/kv/a', '1')
    const { index } = await get('/v1/kv/a')
    note('index unchanged', (await get(`/v1/kv/a?index=${index}&wait=20ms`)).index === index)
  },
  'consistency and datacenters': async ({ put, get }) => {
    await put('/v1/kv/a', '1')
    await get('/v1/kv/a?stale')
    await get('/v1/kv/a?consistent')
    await get('/v1/kv/a?stale&consistent')
    await get('/v1/kv/a?dc=dc1&raw')
    await get('/v1/kv/a?dc=dc2')
    await put('/v1/kv/a?dc=dc2', 'x')
    await get('/v1/kv/a?token=anything&raw')
    await get('/v1/kv/a?cached')
  },
  'bytes that are no text': async ({ put, get }) => {
    await put('/v1/kv/a', '\u0000\u0001\u007f')
    await get('/v1/kv/a')
  },
}
