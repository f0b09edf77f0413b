import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import { expect, it, vi } from 'vitest'
import type { ProgramName } from '../../scripts/programs.js'
import { consulServer } from './consul.ts'
import { dnsServer } from './dns.ts'
import { engineTests } from './engine-tests.ts'
import { etcdCluster, etcdServer } from './etcd.ts'
import { haproxyServer } from './haproxy.ts'
import { nginxServer } from './nginx.ts'
import { postgresServer } from './postgres.ts'
import { prometheusServer } from './prometheus.ts'
import { redisServer } from './redis.ts'
import type { ServerProgram } from './server-program.ts'
import { tls } from './tls.ts'
import { zookeeperServer } from './zookeeper.ts'

const servers: [ProgramName, () => Promise<ServerProgram & { url: string; port: number }>][] = [
  ['etcd', etcdServer],
  ['zookeeper', zookeeperServer],
  ['zookeeper-3.9', () => zookeeperServer({ version: '3.9' })],
  ['consul', consulServer],
  ['redis', redisServer],
  ['postgres', postgresServer],
  ['dns', dnsServer],
  ['haproxy', () => haproxyServer((port) => `frontend in\n  bind 127.0.0.1:${port}\n`)],
  ['nginx', () => nginxServer((port) => `server { listen 127.0.0.1:${port}; }`)],
  ['prometheus', () => prometheusServer({ configuration: '' })],
]

/** The processes that work in a folder or below; known on Linux only. */
function processesIn(folder: string): string[] {
  if (!existsSync('/proc/self/cwd')) return []
  return readdirSync('/proc').filter((name) => {
    try {
      return readlinkSync(`/proc/${name}/cwd`).startsWith(folder)
    } catch {
      return false
    }
  })
}

for (const [name, start] of servers) {
  engineTests(name, () => {
    it('is killed, comes back where it was, and leaves nothing behind', async () => {
      const server = await start()
      try {
        expect(server.url).toContain(`127.0.0.1:${server.port}`)
        await server.kill()
        expect(server.running).toBe(false)
        expect(processesIn(server.folder)).toEqual([])
        await server.start()
        expect(server.running).toBe(true)
      } finally {
        await server[Symbol.asyncDispose]()
      }
      expect(processesIn(server.folder)).toEqual([])
      expect(existsSync(server.folder)).toBe(false)
    })
  })
}

const secured: [ProgramName, () => Promise<ServerProgram & { port: number; securePort?: number }>][] = [
  ['etcd', () => etcdServer({ secure: true })],
  ['redis', () => redisServer({ secure: true })],
  ['consul', consulServer],
]

for (const [name, start] of secured) {
  engineTests(name, () => {
    it('shows its certificate', async () => {
      const server = await start()
      const { port, securePort = port } = server
      try {
        const socket = connect({ port: securePort, host: '127.0.0.1', ca: readFileSync(tls.ca) })
        await once(socket, 'secureConnect')
        expect(socket.authorized).toBe(true)
        socket.destroy()
      } finally {
        await server[Symbol.asyncDispose]()
      }
    })
  })
}

engineTests('etcd', () => {
  it('is three that elect another leader when theirs is killed', async () => {
    const cluster = await etcdCluster()
    try {
      const first = await cluster.leader()
      await first.kill()
      expect(await cluster.leader()).not.toBe(first)
    } finally {
      await cluster[Symbol.asyncDispose]()
    }
  })
})

engineTests('redis', () => {
  it('tells what it printed when it does not start', async () => {
    const failing = redisServer({ args: ['--no-such-setting', 'yes'] })
    await expect(failing).rejects.toThrow(/^redis ended before it was ready:\n.*no-such-setting/s)
  })
})

engineTests('postgres', () => {
  it('is killed while it is halted', async () => {
    const server = await postgresServer()
    try {
      server.pause()
      await server.kill()
      expect(processesIn(server.folder)).toEqual([])
    } finally {
      await server[Symbol.asyncDispose]()
    }
  })
})

engineTests('redis', () => {
  it('waits for a port that someone else still has', async () => {
    const server = await redisServer()
    const squatter = createServer()
    try {
      await server.kill()
      squatter.listen(server.port, '127.0.0.1')
      await once(squatter, 'listening')
      const started = server.start()
      await vi.waitUntil(() => /address already in use/i.test(server.log), { timeout: 10_000 })
      squatter.close()
      await started
      expect(server.running).toBe(true)
    } finally {
      squatter.close()
      await server[Symbol.asyncDispose]()
    }
  })
})
