import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ask } from './ask.ts'
import { freePort } from './free-port.ts'
import { run, type ServerProgram, serverProgram, type User } from './server-program.ts'

export interface PostgresServer extends ServerProgram {
  /** `postgres://postgres:secret@127.0.0.1:PORT/postgres`, which may do everything. */
  readonly url: string
  readonly port: number
}

export interface PostgresOptions {
  /** Settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>
}

/** A PostgreSQL server with an empty database. Passwords are checked. */
export function postgresServer({ settings = {} }: PostgresOptions = {}): Promise<PostgresServer> {
  const user = someoneElse()
  const plan = async (folder: string, { file, env }: { file: string; env: NodeJS.ProcessEnv }) => {
    const port = await freePort()
    const password = join(folder, 'password')
    writeFileSync(password, 'secret\n')
    const initialize = ['-D', 'data', '-U', 'postgres', `--pwfile=${password}`, '-A', 'scram-sha-256']
    await run(join(dirname(file), 'initdb'), [...initialize, '-E', 'UTF8', '--no-locale', '--no-sync'], {
      cwd: folder,
      env: { ...process.env, ...env },
      ...user,
    })
    const all = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      shared_buffers: '16MB',
      ...settings,
    }
    return {
      args: [
        '-D',
        'data',
        '-p',
        String(port),
        ...Object.entries(all).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
      ],
      // It asks for a password when it is ready; before, it answers with an error.
      ready: async () => (await ask(port, startup)).startsWith('R'),
      facts: { url: `postgres://postgres:secret@127.0.0.1:${port}/postgres`, port },
    }
  }
  return serverProgram('postgres', plan, { user })
}

/** The first message of protocol 3.0, as user `postgres`. */
const startup = (() => {
  const parameters = Buffer.from('user\0postgres\0\0')
  const head = Buffer.alloc(8)
  head.writeInt32BE(head.length + parameters.length, 0)
  head.writeInt32BE(3 << 16, 4)
  return Buffer.concat([head, parameters])
})()

/** PostgreSQL refuses to run as root, and so runs as the one who owns nothing. */
function someoneElse(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (option: string) => Number(execFileSync('id', [option, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}
