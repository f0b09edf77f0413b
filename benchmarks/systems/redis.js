import { Redis } from 'ioredis'
import { freePorts } from '../programs.js'
import { server } from '../server.js'
import { ttl } from './system.js'

/** @import { System } from './system.js' */

const channel = 'bare'

/** @type {System} */
export default {
  driver: 'ioredis',
  settings: 'appendonly yes, appendfsync everysec: synced to disk each second',

  async start(folder) {
    const [port = 0] = await freePorts(1)
    const close = await server('redis', {
      args: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
        ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', ''],
      ],
      folder,
      port,
      question: 'PING\r\n',
      answer: '+PONG',
    })
    return { url: `redis://127.0.0.1:${port}`, close }
  },

  async connect(url) {
    const client = new Redis(url)
    const subscriber = new Redis(url)
    await subscriber.subscribe(channel)
    let expected = () => {}
    subscriber.on('message', () => expected())
    const remove = async (/** @type {string} */ key) => {
      if ((await client.del(key)) !== 1) throw new Error(`${key} was not in Redis.`)
    }
    return {
      async write(key, value) {
        await client.set(key, value, 'EX', ttl)
        return () => remove(key)
      },
      async announce(key, value) {
        const results = await client.pipeline().set(key, value, 'EX', ttl).publish(channel, value).exec()
        for (const [error] of results ?? []) if (error) throw error
        return () => remove(key)
      },
      async expect(_key, told) {
        expected = told
      },
      async close() {
        client.disconnect()
        subscriber.disconnect()
      },
    }
  },
}
