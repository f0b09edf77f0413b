import { connect } from '@seamark/client'
import { type HostContext, host, Service, Start, Stop } from '@seamark/host'

// Compiled and run by decorators.test.ts: prints what happens, line by line.

class Base {
  readonly lines: string[] = []

  @Start()
  open({ port, address }: HostContext): void {
    this.lines.push(`base opens at ${address}:${port}`)
  }

  @Stop()
  async close(): Promise<void> {
    await null
    this.lines.push('base closes')
  }
}

@Service('auth', { tags: ['blue'] })
class Auth extends Base {
  readonly #secret = 42

  @Start()
  override open({ address, port }: HostContext): void {
    this.lines.push(`auth opens at ${address}:${port}`)
  }

  @Start()
  async #warm({ discovery }: HostContext): Promise<void> {
    this.lines.push(`auth is warm, ${this.#secret}, ${(await discovery.findAll('auth')).length}`)
  }

  @Stop()
  goodbye(): void {
    this.lines.push(`auth says goodbye, after ${this.#warm.name}`)
  }
}

class SpecialAuth extends Auth {}

const discovery = connect('memory:', { signals: false })
const auth = new SpecialAuth()
const other = new Auth()
const hosted = host(discovery, { port: 3000, address: '127.0.0.1', drain: 0, services: [auth] })
await hosted.start()
const { name, tags } = await discovery.find('auth').then(({ service, tags }) => ({ name: service, tags }))
await hosted.stop()

let refusal: unknown
try {
  class Wrong {
    @Start()
    static never(): void {}
    also(): void {}
  }
  new Wrong()
} catch (error) {
  refusal = error
}
await discovery.close()
console.log(JSON.stringify({ name, tags, lines: auth.lines, others: other.lines, refusal: String(refusal) }))
