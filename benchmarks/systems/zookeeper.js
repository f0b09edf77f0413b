import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import zookeeper from 'node-zookeeper-client'
import { program } from '../../scripts/programs.js'
import { freePorts } from '../programs.js'
import { server } from '../server.js'

/** @import { System, Write } from './system.js' */

const parent = '/bare'

/** @type {System} */
export default {
  driver: 'node-zookeeper-client',
  settings: 'as by default: synced to disk before an answer (forceSync)',

  async start(folder) {
    const [port = 0] = await freePorts(1)
    const file = join(folder, 'zoo.cfg')
    const settings = {
      dataDir: join(folder, 'data'),
      clientPort: port,
      clientPortAddress: '127.0.0.1',
      'admin.enableServer': false,
    }
    const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`)
    writeFileSync(file, lines.join(''))
    // A program without arguments of its own is ZooKeeper's own script.
    const args =
      program('zookeeper')?.args.length === 0
        ? ['start-foreground', file]
        : [
            '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
            'org.apache.zookeeper.server.ZooKeeperServerMain',
            file,
          ]
    const question = 'srvr'
    const close = await server('zookeeper', { args, folder, port, question, answer: 'Zookeeper version' })
    return { url: `zookeeper://127.0.0.1:${port}`, close }
  },

  async connect(url) {
    const client = zookeeper.createClient(new URL(url).host)
    const connected = once(client, 'connected')
    client.connect()
    await connected
    /**
     * @template T
     * @param {(done: (error: Error | zookeeper.Exception | null, answer?: T) => void) => void} ask
     * @returns {Promise<T | undefined>}
     */
    const asked = (ask) =>
      new Promise((resolve, reject) => {
        ask((error, answer) => (error ? reject(error) : resolve(answer)))
      })
    await asked((done) => client.create(parent, done))
    /** @type {Write} */
    const write = async (key, value) => {
      const path = `${parent}/${key}`
      const { EPHEMERAL } = zookeeper.CreateMode
      await asked((done) => client.create(path, Buffer.from(value), EPHEMERAL, done))
      return async () => {
        await asked((done) => client.remove(path, done))
      }
    }
    return {
      write,
      announce: write,
      async expect(_key, told) {
        await asked((done) => client.getChildren(parent, told, done))
      },
      async close() {
        const disconnected = once(client, 'disconnected')
        client.close()
        await disconnected
      },
    }
  },
}
