import { Etcd3 } from 'etcd3'
import { freePorts } from '../programs.js'
import { server } from '../server.js'
import { ttl } from './system.js'

/** @import { System } from './system.js' */

/** @type {System} */
export default {
  driver: 'etcd3',
  settings: 'as by default: synced to disk before an answer',

  async start(folder) {
    const [client = 0, peer, metrics = 0] = await freePorts(3)
    const close = await server('etcd', {
      args: [
        '--data-dir=data',
        `--listen-client-urls=http://127.0.0.1:${client}`,
        `--advertise-client-urls=http://127.0.0.1:${client}`,
        `--listen-metrics-urls=http://127.0.0.1:${metrics}`,
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
        `--initial-cluster=default=http://127.0.0.1:${peer}`,
        '--logger=zap',
        '--log-level=error',
      ],
      folder,
      port: metrics,
      question: 'GET /health HTTP/1.0\r\n\r\n',
      answer: 'HTTP/1.0 200',
    })
    return { url: `etcd://127.0.0.1:${client}`, close }
  },

  async connect(url) {
    const client = new Etcd3({ hosts: new URL(url).host })
    /** @type {Map<string, () => void>} */
    const expected = new Map()
    const watcher = await client.watch().prefix('bare/').create()
    watcher.on('put', ({ key }) => expected.get(String(key))?.())
    /** @type {import('./system.js').Write} */
    const write = async (key, value) => {
      const { ID } = await client.leaseClient.leaseGrant({ TTL: ttl })
      await client.kv.put({ key: Buffer.from(`bare/${key}`), value: Buffer.from(value), lease: ID })
      return async () => {
        await client.leaseClient.leaseRevoke({ ID })
      }
    }
    return {
      write,
      announce: write,
      async expect(key, told) {
        expected.clear()
        expected.set(`bare/${key}`, told)
      },
      async close() {
        await watcher.cancel()
        client.close()
      },
    }
  },
}
