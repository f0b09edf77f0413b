import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { program } from '../../scripts/programs.js'
import { freePorts } from '../programs.js'
import { server } from '../server.js'
import { ttl } from './system.js'

/** @import { System } from './system.js' */

/** The first message of protocol 3.0, as user `postgres`. */
const startup = Buffer.from('\0\0\0\x17\0\x03\0\0user\0postgres\0\0', 'latin1')

/** @type {System} */
export default {
  driver: 'pg',
  settings: 'as by default: synced to disk before an answer (fsync, synchronous_commit, full_page_writes on)',

  async start(folder) {
    const { file = '', env } = program('postgres') ?? {}
    const [port = 0] = await freePorts(1)
    const user = someoneElse()
    const password = randomBytes(16).toString('hex')
    const passwordFile = join(folder, 'password')
    writeFileSync(passwordFile, password, { mode: 0o600 })
    if (user !== undefined) {
      chmodSync(dirname(folder), 0o711)
      for (const path of [folder, passwordFile]) chownSync(path, user.uid, user.gid)
    }
    execFileSync(
      join(dirname(file), 'initdb'),
      ['-D', 'data', '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8'],
      { cwd: folder, env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'], ...user },
    )
    const close = await server('postgres', {
      args: [
        ...['-D', 'data', '-p', String(port)],
        ...['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
      ],
      folder,
      port,
      // It asks for a password when it is ready; before, it answers with an error.
      question: startup,
      answer: 'R',
      // Does not wait for its clients.
      signal: 'SIGINT',
      ...(user && { user }),
    })
    return { url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`, close }
  },

  async connect(url) {
    const pool = new pg.Pool({ connectionString: url })
    // Its end does not wait for its connections', which the server may end first. While in use, queries tell.
    pool.on('error', () => {})
    await pool.query('CREATE TABLE bare (key text PRIMARY KEY, value text, expires timestamptz)')
    const listener = new pg.Client({ connectionString: url })
    await listener.connect()
    await listener.query('LISTEN bare')
    let expected = () => {}
    listener.on('notification', () => expected())
    const insert = `INSERT INTO bare VALUES ($1, $2, now() + interval '${ttl} s')`
    const queries = { write: insert, announce: `${insert} RETURNING pg_notify('bare', $1)` }
    /** @type {(name: keyof typeof queries) => import('./system.js').Write} */
    const write = (name) => async (key, value) => {
      await pool.query({ name, text: queries[name], values: [key, value] })
      return async () => {
        const text = 'DELETE FROM bare WHERE key = $1'
        const { rowCount } = await pool.query({ name: 'remove', text, values: [key] })
        if (rowCount !== 1) throw new Error(`${key} was not in PostgreSQL.`)
      }
    }
    return {
      write: write('write'),
      announce: write('announce'),
      async expect(_key, told) {
        expected = told
      },
      async close() {
        await Promise.all([pool.end(), listener.end()])
      },
    }
  },
}

/** PostgreSQL refuses to run as root, and so runs as the one who owns nothing. */
function someoneElse() {
  if (process.getuid?.() !== 0) return undefined
  const id = (/** @type {string} */ option) =>
    Number(execFileSync('id', [option, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}
