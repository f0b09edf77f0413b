import { leaseLost, type SeamarkError } from './errors.ts'
import type { InstanceKey } from './names.ts'
import type { Lease, Revision } from './ports.ts'

/** What leases need of the handle that they came from. */
export interface LeaseHost {
  /** As `Registry.renew`; `lease` is the one that asks. */
  renew(tokens: readonly string[], lease: RemoteLease): Promise<readonly boolean[]>
  release(token: string): Promise<Revision | undefined>
  /** Somebody listens to `lost`: tell this lease also what others learn about its token. */
  listening(lease: RemoteLease): void
}

/** What a lease is made of. */
export interface LeaseFacts {
  readonly key: InstanceKey
  readonly token: string
  readonly ttl: number | undefined
  readonly revision: Revision
}

/** A lease of a registry that is elsewhere: what became of it is only known once somebody asked. */
export class RemoteLease implements Lease {
  readonly key: InstanceKey
  readonly token: string
  readonly ttl: number | undefined
  readonly revision: Revision
  readonly #host: LeaseHost
  #loss: SeamarkError | undefined
  #controller: AbortController | undefined

  constructor(host: LeaseHost, { key: { namespace, service, id }, token, ttl, revision }: LeaseFacts) {
    this.#host = host
    this.key = Object.freeze({ namespace, service, id })
    this.token = token
    this.ttl = ttl
    this.revision = revision
  }

  /** Made on first use: an AbortController weighs more than the rest of a lease. */
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
    const [held] = await this.#host.renew([this.token], this)
    if (!held) throw this.lose('it expired, was superseded or was revoked')
  }

  /** Notes the loss; answers the error that says so. */
  lose(why: string): SeamarkError {
    this.#loss ??= leaseLost(why)
    this.#controller?.abort(this.#loss)
    return this.#loss
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#loss !== undefined) return
    await this.#host.release(this.token)
    this.lose('it was released')
  }
}
