import { Pool } from 'undici'
import { consulAgent } from '../programs.js'
import { ttl } from './system.js'

/** @import { System, Write } from './system.js' */

const prefix = '/v1/kv/bare/'
const connections = 80

/** @type {System} */
export default {
  driver: 'undici',
  settings: 'as by default: synced to disk before an answer; raft_multiplier 1, as advised for production',

  async start(folder) {
    const agent = await consulAgent(folder)
    if (agent === undefined) throw new Error('consul is not installed: npm run engines:install consul')
    return { url: agent.url.replace('http:', 'consul:'), close: agent.close }
  },

  async connect(url) {
    const pool = new Pool(url.replace('consul:', 'http:'), { connections })
    /**
     * @param {'GET' | 'PUT'} method
     * @param {string} path
     * @param {string} [body]
     */
    const ask = async (method, path, body) => {
      const answer = await pool.request({ method, path, ...(body !== undefined && { body }) })
      const text = await answer.body.text()
      if (answer.statusCode === 200) return { text, index: answer.headers['x-consul-index'] }
      if (answer.statusCode === 404) return { text: '[]', index: answer.headers['x-consul-index'] }
      throw new Error(`${method} ${path} answered ${answer.statusCode}: ${text}`)
    }
    const session = JSON.stringify({ TTL: `${ttl}s`, Behavior: 'delete', LockDelay: '0s', NodeChecks: [] })
    /** @type {Write} */
    const write = async (key, value) => {
      const { ID } = JSON.parse((await ask('PUT', '/v1/session/create', session)).text)
      const { text } = await ask('PUT', `${prefix}${key}?acquire=${ID}`, value)
      if (text.trim() !== 'true') throw new Error(`${key} could not be written to Consul: ${text}`)
      return async () => {
        await ask('PUT', `/v1/session/destroy/${ID}`)
      }
    }
    /**
     * @param {string} key
     * @param {string | string[] | undefined} index
     */
    const shown = async (key, index) => {
      for (let after = index; ; ) {
        const answer = await ask('GET', `${prefix}?recurse&index=${after}`)
        if (JSON.parse(answer.text).some((/** @type {{ Key: string }} */ { Key }) => Key === `bare/${key}`))
          return
        after = answer.index
      }
    }
    return {
      write,
      announce: write,
      async expect(key, told) {
        const { index } = await ask('GET', `${prefix}?recurse`)
        // Where it fails, nobody is told, and whoever waits says so.
        void shown(key, index).then(told, () => undefined)
      },
      async close() {
        await pool.destroy()
      },
    }
  },
}
