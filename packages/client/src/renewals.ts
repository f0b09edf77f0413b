import type { RemoteLease } from '@seamark/core'

interface Pending {
  readonly lease: RemoteLease
  readonly resolve: (held: boolean) => void
  readonly reject: (error: unknown) => void
}

/** Gathers the renewals of one turn of the event loop into one request. */
export class Renewals {
  readonly #send: (tokens: readonly string[], shortestTtl: number) => Promise<readonly boolean[]>
  #pending: Pending[] = []

  constructor(send: (tokens: readonly string[], shortestTtl: number) => Promise<readonly boolean[]>) {
    this.#send = send
  }

  renew(lease: RemoteLease): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.#pending.push({ lease, resolve, reject }) === 1) setImmediate(() => this.#flush())
    })
  }

  async #flush(): Promise<void> {
    const pending = this.#pending
    this.#pending = []
    const tokens = pending.map(({ lease }) => lease.token)
    let shortest = Number.POSITIVE_INFINITY
    for (const { lease } of pending) shortest = Math.min(shortest, lease.ttl ?? shortest)
    try {
      const held = await this.#send(tokens, shortest)
      for (const [index, { resolve }] of pending.entries()) resolve(held[index] === true)
    } catch (error) {
      for (const { reject } of pending) reject(error)
    }
  }
}
