import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** A process that announced an instance. */
export interface Announcer extends AsyncDisposable {
  readonly child: ChildProcess
  /** As `kill -9`; resolves once it is gone. */
  kill(): Promise<void>
}

interface AnnouncerOptions {
  /** Further fields of what is announced, as source text. */
  readonly more?: string
  /** What it does afterwards, as source text. Default: it goes on for ever. */
  readonly afterwards?: string
}

/** Milliseconds: what ends within a test did not wait for this. */
const ttl = 300_000

/** Starts one that announces an instance of `api` with that id, and resolves once it is registered. */
export async function announcer(
  url: string,
  id: string,
  { more = '', afterwards = 'setInterval(() => {}, 1000)' }: AnnouncerOptions = {},
): Promise<Announcer> {
  const source = `
    import { connect } from '@seamark/client'
    const discovery = connect('${url}')
    const about = { address: '127.0.0.1', port: 3000, ttl: ${ttl}, drain: 0, ${more} }
    await (await discovery.announce({ name: 'api', id: '${id}', ...about })).ready()
    ${afterwards}
    console.log('announced')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const gone = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await gone
  }
  await Promise.race([once(child.stdout, 'data'), gone])
  return { child, kill, [Symbol.asyncDispose]: kill }
}
