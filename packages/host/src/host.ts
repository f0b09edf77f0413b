import type { Announcement, AnnounceOptions, Discovery } from '@seamark/client'
import { invalidField, SeamarkError } from '@seamark/core'
import { decorated } from './decorators.ts'
import type { HostContext, HostedService } from './hosted-service.ts'
import { consoleLogger, type Logger } from './logger.ts'

/** How all of its services are announced, unless they say otherwise; `port` is where the process listens. */
export interface HostOptions extends Omit<AnnounceOptions, 'name' | 'id'> {
  /** In the order in which they start: objects with hooks, and objects of classes with `@Service`. */
  readonly services: readonly (HostedService | object)[]
  /** Default: the console. */
  readonly logger?: Logger
}

interface Hosted {
  readonly service: HostedService
  readonly context: HostContext
  announcement?: Announcement
}

/** Several named services in one process. Made by `host`. */
export class Host implements AsyncDisposable {
  readonly #discovery: Discovery
  readonly #services: readonly HostedService[]
  readonly #options: Omit<HostOptions, 'services' | 'logger'>
  readonly #logger: Logger
  /** What was started and not stopped yet. */
  readonly #started: Hosted[] = []
  #beginning: Promise<void> | undefined
  #end: Promise<void> | undefined

  constructor(discovery: Discovery, { services, logger = consoleLogger(), ...options }: HostOptions) {
    this.#discovery = discovery
    this.#services = services.map(hosted)
    this.#options = options
    this.#logger = logger
  }

  /**
   * Starts and announces one service after the other. When one fails, those before it are stopped again, and it rejects
   * with what that one threw.
   */
  start(): Promise<void> {
    this.#beginning ??= this.#start()
    return this.#beginning
  }

  /**
   * Deregisters all services and waits until callers have noticed (`drain`); then stops them, the last one first, each of them
   * even if another one throws. Then it rejects with that, with an `AggregateError` if there are several.
   */
  stop(): Promise<void> {
    this.#end ??= this.#stop()
    return this.#end
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #start(): Promise<void> {
    try {
      for (const service of this.#services) {
        this.#throwIfStopped()
        const own = { service, context: this.#context(service) }
        await service.start?.(own.context)
        this.#started.push(own)
        this.#throwIfStopped()
        await this.#announce(own)
      }
    } catch (error) {
      for (const reason of await this.#unwind())
        this.#logger.error({ err: reason }, 'A service could not be stopped after another one had failed.')
      throw error
    }
  }

  async #stop(): Promise<void> {
    // One that fails stops by itself, and has told whoever called it.
    await this.#beginning?.catch(() => {})
    const errors = await this.#unwind()
    if (errors.length > 1) throw new AggregateError(errors, 'Several services could not be stopped.')
    if (errors.length === 1) throw errors[0]
  }

  async #announce(own: Hosted): Promise<void> {
    const { start, stop, ...options } = own.service
    const { address, port } = own.context
    own.announcement = await this.#discovery.announce({ ...this.#options, ...options, address, port })
  }

  async #unwind(): Promise<readonly unknown[]> {
    const started = this.#started.splice(0).reverse()
    await Promise.all(started.map(({ announcement }) => announcement?.close()))
    const errors: unknown[] = []
    for (const { service, context } of started) {
      try {
        await service.stop?.(context)
      } catch (error) {
        errors.push(error)
      }
    }
    return errors
  }

  #context(service: HostedService): HostContext {
    const { name, prefer = this.#options.prefer, port = this.#options.port } = service
    const address =
      service.address ?? this.#options.address ?? this.#discovery.advertisedAddress(name, prefer)
    const logger = this.#logger.child?.({ service: name }) ?? this.#logger
    return { discovery: this.#discovery, logger, address, port }
  }

  #throwIfStopped(): void {
    if (this.#end !== undefined) throw new SeamarkError('closed', 'The host was stopped.')
  }
}

function hosted(service: HostedService | object, index: number): HostedService {
  const known = decorated(service)
  if (known !== undefined) return known
  if ('name' in service) return service as HostedService
  throw invalidField(`services/${index}`, 'must have a name, or be an object of a class with @Service')
}

/**
 * Several named services in one process that listens at one port, or at several: `start()` and `stop()` call the services' own
 * hooks and announce them in between. Throws `invalid_field`.
 */
export function host(discovery: Discovery, options: HostOptions): Host {
  return new Host(discovery, options)
}
