import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { root } from '../../scripts/step.js'
import { consulServer } from '../servers/consul.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { etcdServer } from '../servers/etcd.ts'
import { postgresServer } from '../servers/postgres.ts'
import { redisServer } from '../servers/redis.ts'
import { zookeeperServer } from '../servers/zookeeper.ts'
import { serverProcess } from '../system/server-process.ts'

const title = 'the same service runs by changing the URL only'

/** Without a server of its own. */
const here: Readonly<Record<string, () => Promise<{ url: string } & AsyncDisposable>>> = {
  memory: async () => ({ url: 'memory:', async [Symbol.asyncDispose]() {} }),
  async lmdb() {
    const folder = await mkdtemp(join(tmpdir(), 'seamark-example-'))
    return { url: `lmdb:${folder}`, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
  },
  http: () => serverProcess('memory:'),
}

const engines = {
  etcd: etcdServer,
  redis: redisServer,
  postgres: postgresServer,
  zookeeper: zookeeperServer,
  consul: consulServer,
} as const

it.each(Object.entries(here))(`${title}: %s`, async (_, start) => {
  await using engine = await start()
  await greets(engine.url)
})

for (const [name, start] of Object.entries(engines))
  engineTests(name as keyof typeof engines, () => {
    it(title, { timeout: 60_000 }, async () => {
      await using engine = await start()
      await greets(engine.url)
    })
  })

async function greets(url: string): Promise<void> {
  const env = { ...process.env, SEAMARK_URL: url }
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['examples/engines/greeter.js'], {
    cwd: root,
    env,
    timeout: 30_000,
  })
  expect(stdout).toMatch(
    /^Found (greeter-\w+) at http:\/\/127\.0\.0\.1:\d+, and got an answer\.\n\1 is gone\.\n$/,
  )
  expect(stderr).toBe('')
}
