import { type InstanceKey, type Lease, leaseLost, type Revision, type SeamarkError } from '@seamark/core'

/** What leases need of their engine. */
export interface LeaseHost {
  renew(tokens: readonly string[]): Promise<readonly boolean[]>
  release(token: string): Promise<Revision | undefined>
  /** Somebody wants to know when the lease is lost. */
  listening(lease: RedisLease): void
}

export interface LeaseFacts {
  readonly key: InstanceKey
  readonly token: string
  readonly ttl: number | undefined
  readonly revision: Revision
}

export class RedisLease implements Lease {
  readonly key: InstanceKey
  readonly token: string
  readonly ttl: number | undefined
  readonly revision: Revision
  readonly #host: LeaseHost
  #loss: SeamarkError | undefined
  /** Only made when somebody asks for the signal. */
  #controller: AbortController | undefined

  constructor(host: LeaseHost, { key, token, ttl, revision }: LeaseFacts) {
    this.#host = host
    this.key = key
    this.token = token
    this.ttl = ttl
    this.revision = revision
  }

  get lost(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#loss !== undefined) this.#controller.abort(this.#loss)
      else this.#host.listening(this)
    }
    return this.#controller.signal
  }

  async renew(): Promise<void> {
    if (this.#loss !== undefined) throw this.#loss
    const [held] = await this.#host.renew([this.token])
    if (!held) throw this.lose('it expired, was superseded or revoked, or Redis lost its data')
  }

  /** Notes the loss; answers the error that says so. */
  lose(why: string): SeamarkError {
    this.#loss ??= leaseLost(why)
    this.#controller?.abort(this.#loss)
    return this.#loss
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#loss === undefined) await this.#host.release(this.token)
  }
}
