import { type InstanceKey, type Lease, leaseLost, type Revision, type SeamarkError } from '@seamark/core'

/** What a lease asks of the engine it came from. */
export interface LeaseHost {
  renew(tokens: readonly string[]): Promise<readonly boolean[]>
  release(token: string): Promise<Revision | undefined>
  /** Somebody listens to `lost`: tell this lease what is learned about its token. */
  listening(lease: PostgresLease): void
}

export interface LeaseState {
  readonly key: InstanceKey
  readonly token: string
  readonly ttl: number | undefined
  readonly revision: Revision
}

export class PostgresLease implements Lease {
  readonly key: InstanceKey
  readonly token: string
  readonly ttl: number | undefined
  readonly revision: Revision
  readonly #host: LeaseHost
  #lost: SeamarkError | undefined
  #controller: AbortController | undefined

  constructor(host: LeaseHost, { key: { namespace, service, id }, token, ttl, revision }: LeaseState) {
    this.#host = host
    this.key = Object.freeze({ namespace, service, id })
    this.token = token
    this.ttl = ttl
    this.revision = revision
  }

  /** Made when somebody asks for it: an AbortController weighs more than the rest of a lease. */
  get lost(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#lost !== undefined) this.#controller.abort(this.#lost)
      else this.#host.listening(this)
    }
    return this.#controller.signal
  }

  async renew(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    const [held] = await this.#host.renew([this.token])
    if (!held) throw this.lose('it ended, or another one took its place')
  }

  /** Notes the loss; answers the error that says so. */
  lose(why: string): SeamarkError {
    this.#lost ??= leaseLost(why)
    this.#controller?.abort(this.#lost)
    return this.#lost
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#lost === undefined) await this.#host.release(this.token)
  }
}
