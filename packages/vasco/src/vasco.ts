import { type Clock, invalidField, type Notice, type Notify, SeamarkError, systemClock } from '@seamark/core'
import { Connection } from './connection.ts'
import { departure } from './departure.ts'
import { Endpoints } from './endpoints.ts'
import { serviceName } from './keys.ts'
import { Registration } from './registration.ts'
import { vascoUrl } from './vasco-url.ts'

/** Which version of which service is needed: compared as text, no range. */
export type Dependencies = Readonly<Record<string, string>>
/** URLs that stand in for dependencies: Redis is not asked for these. */
export type Mocks = Readonly<Record<string, string>>
/** The URL of each dependency, by its name. */
export type Urls = Record<string, string>

/** What vasco reads of a package.json. */
export interface Package {
  readonly name: string
  readonly version: string
  readonly vasco?: {
    readonly dependencies?: Dependencies
    readonly mocks?: Mocks
    /** Whole seconds that the service outlives its last renewal. Default 10. */
    readonly aliveDuration?: number
  }
}

export interface VascoOptions {
  /** Asked whenever a connection is opened. Default the environment variable `VASCO_URL`. */
  readonly url?: () => string | undefined
  readonly clock?: Clock
  /** Default: warnings of the process. */
  readonly notify?: Notify
}

/** Seconds; the original's. */
const defaultDuration = 10

/** Finds and registers, over one connection. */
export class Vasco implements AsyncDisposable {
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #connection: Connection
  readonly #endpoints: Endpoints
  readonly #registrations = new Map<string, Registration>()
  #departure: Disposable | undefined

  constructor({ url = () => process.env.VASCO_URL, clock = systemClock, notify = warn }: VascoOptions = {}) {
    this.#clock = clock
    this.#notify = notify
    this.#connection = new Connection(() => vascoUrl(url()), clock)
    this.#endpoints = new Endpoints(this.#connection, clock)
  }

  async register(url: string, pkg: Package): Promise<Urls> {
    if (!url) throw new SeamarkError('invalid_field', 'Need url of service', { field: 'url' })
    if (!pkg?.name || !pkg.version) throw new SeamarkError('invalid_field', 'Invalid package')
    const { dependencies, mocks, aliveDuration } = pkg.vasco ?? {}
    const duration = Number(aliveDuration || defaultDuration)
    if (!Number.isSafeInteger(duration) || duration < 1)
      throw invalidField('vasco.aliveDuration', 'must be a whole number of seconds')
    const hold = this.#connection.hold()
    try {
      const urls = await this.findDependencies(dependencies, mocks)
      await this.#keep(url, serviceName(pkg.name, pkg.version), duration)
      return urls
    } finally {
      hold[Symbol.dispose]()
    }
  }

  async findDependencies(dependencies?: Dependencies, mocks?: Mocks): Promise<Urls> {
    const hold = this.#connection.hold()
    try {
      const found = await Promise.all(
        Object.entries(dependencies ?? {}).map(async ([name, version]) => ({
          name,
          url: mockOf(mocks, name) ?? (await this.#endpoints.find(serviceName(name, version))),
        })),
      )
      const missing = found.filter(({ url }) => url === undefined).map(({ name }) => name)
      if (missing.length > 0)
        throw new SeamarkError('service_not_found', `No url for: ${missing[0]}`, { details: { missing } })
      return Object.fromEntries(found.map(({ name, url }) => [name, url!]))
    } finally {
      hold[Symbol.dispose]()
    }
  }

  async depart(): Promise<void> {
    const registrations = [...this.#registrations]
    await Promise.all(registrations.map(([, registration]) => registration.close()))
    for (const [url, registration] of registrations) this.#forget(url, registration)
  }

  farewell(): void {
    for (const registration of this.#registrations.values()) registration.farewell()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.depart()
  }

  /** A URL has one alive key, so it is one service's: the last one's. */
  async #keep(url: string, service: string, duration: number): Promise<void> {
    const former = this.#registrations.get(url)
    // Before the next one writes: else it could do so behind that one's back.
    const past = former?.service === service ? former.stop() : former?.close()
    const registration = new Registration({
      connection: this.#connection,
      clock: this.#clock,
      notify: this.#notify,
      url,
      service,
      duration,
    })
    this.#registrations.set(url, registration)
    this.#departure ??= departure(this)
    try {
      await Promise.all([registration.first, past])
    } catch (error) {
      this.#forget(url, registration)
      throw error
    }
  }

  #forget(url: string, registration: Registration): void {
    if (this.#registrations.get(url) === registration) this.#registrations.delete(url)
    if (this.#registrations.size > 0) return
    this.#departure?.[Symbol.dispose]()
    this.#departure = undefined
  }
}

/** An empty one is none, as to the original. */
function mockOf(mocks: Mocks | undefined, name: string): string | undefined {
  return (mocks && Object.hasOwn(mocks, name) && mocks[name]) || undefined
}

function warn({ level, event, message }: Notice): void {
  if (level !== 'info') process.emitWarning(message, { type: 'SeamarkWarning', code: event })
}
