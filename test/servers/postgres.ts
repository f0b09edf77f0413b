import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ask } from './ask.ts'
import { freePort } from './free-port.ts'
import { run, type ServerProgram, serverProgram, type User } from './server-program.ts'
import { tls } from './tls.ts'

export interface PostgresServer extends ServerProgram {
  /** `postgres://postgres:secret@127.0.0.1:PORT/postgres`, which may do everything. */
  readonly url: string
  readonly port: number
}

export interface PostgresOptions {
  /** Settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>
}

/**
 * A PostgreSQL server with an empty database. Passwords are checked. Clients may use TLS: its certificate is that of
 * `tls.ts`.
 */
export function postgresServer({ settings = {} }: PostgresOptions = {}): Promise<PostgresServer> {
  const user = someoneElse()
  const plan = async (folder: string, { file, env }: { file: string; env: NodeJS.ProcessEnv }) => {
    const port = await freePort()
    requireAccess(file, user)
    const password = join(folder, 'password')
    writeFileSync(password, 'secret\n')
    const initialize = ['-D', 'data', '-U', 'postgres', `--pwfile=${password}`, '-A', 'scram-sha-256']
    await run(join(dirname(file), 'initdb'), [...initialize, '-E', 'UTF8', '--no-locale', '--no-sync'], {
      cwd: folder,
      env: { ...process.env, ...env },
      ...user,
    })
    // It refuses keys that others could read.
    const key = join(folder, 'key.pem')
    copyFileSync(tls.key, key)
    chmodSync(key, 0o600)
    if (user) chownSync(key, user.uid, user.gid)
    const certificate = join(folder, 'certificate.pem')
    copyFileSync(tls.certificate, certificate)
    const all = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      shared_buffers: '16MB',
      ssl: 'on',
      ssl_cert_file: certificate,
      ssl_key_file: key,
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

function requireAccess(file: string, user: User | undefined): void {
  const { error } = spawnSync(file, ['--version'], { ...user })
  if (error === undefined) return
  throw new Error(
    `PostgreSQL refuses to run as root, and nobody else may run ${file}. Install it outside of this folder, or move this folder to where everyone may enter.`,
    { cause: error },
  )
}

/** PostgreSQL refuses to run as root, and so runs as the one who owns nothing. */
function someoneElse(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (option: string) => Number(execFileSync('id', [option, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}
