import type { Revision, Terms } from '@seamark/core'
import type { IKeyValue } from 'etcd3'
import { type Cluster, mostOperations, type Wanted } from './cluster.ts'
import type { Format } from './format.ts'
import { decodeLease, type LeaseRecord } from './records.ts'
import type { Skipped } from './skipped.ts'
import { noLease, type Token } from './token.ts'

/**
 * etcd looks for leases that are over every 500 ms (`lessor.runLoop`), and revokes them through its log. Of 600 leases on a
 * real 3.4 that had little else to do, the last was 503 ms late; the rest is for one that has. It revokes at most 1,000 a second.
 */
const lateness = 1_000
/** The shortest lease that etcd grants with its default election timeout: ceil(1.5 × 1 s). */
const usualMinimum = 2_000

/** A lease, as it was found by its token. */
export interface FoundLease {
  readonly record: LeaseRecord
  /** At which its instance was registered. */
  readonly revision: Revision
}

/** Leases of etcd, and what is kept of them under the hash of their token. */
export class Leases {
  readonly #cluster: Cluster
  readonly #format: Format
  readonly #skipped: Skipped
  #terms: Terms = Object.freeze({ minimumTtl: usualMinimum, lateness })

  constructor(cluster: Cluster, format: Format, skipped: Skipped) {
    this.#cluster = cluster
    this.#format = format
    this.#skipped = skipped
  }

  /** `minimumTtl` depends on etcd's election timeout: it is what etcd granted when it was asked for less. */
  get terms(): Terms {
    return this.#terms
  }

  /** Answers the TTL granted (ms). */
  async grant(id: string, ttl: number): Promise<number> {
    const granted = await this.#cluster.grant(id, ttl)
    const asked = Math.ceil(ttl / 1_000) * 1_000
    if (ttl < this.#terms.minimumTtl || granted > asked)
      this.#terms = Object.freeze({ minimumTtl: granted, lateness })
    return granted
  }

  /** Does not wait. One that cannot be revoked now ends by itself: nobody renews it. */
  revoke(id: string): void {
    if (id !== noLease) this.#cluster.revoke(id).catch(() => undefined)
  }

  async record({ hash, lease }: Token): Promise<LeaseRecord | undefined> {
    const { pages } = await this.#cluster.read([{ keys: this.#format.lease(hash) }])
    const [kv] = pages[0]!.kvs
    return kv?.lease === lease ? this.#skipped.unlessUnreadable(kv, decodeLease) : undefined
  }

  async find(token: Token): Promise<FoundLease | undefined> {
    const [found] = await this.#findEach([token])
    return found
  }

  /** Renews those that are held, and answers which. */
  async renew(tokens: readonly Token[]): Promise<ReadonlySet<Token>> {
    const ids = tokens.map(({ lease }) => lease).filter((lease) => lease !== noLease)
    const [alive, found] = await Promise.all([this.#cluster.keepAlive(ids), this.#findEach(tokens)])
    const held = new Set<Token>()
    for (const [index, token] of tokens.entries())
      if (found[index] === undefined) {
        // It outlived its registration: what ended that one could not revoke it.
        if (alive.has(token.lease)) this.revoke(token.lease)
      } else if (token.lease === noLease || alive.has(token.lease)) held.add(token)
    return held
  }

  /** Each whose record and instance are there, and of that lease. */
  async #findEach(tokens: readonly Token[]): Promise<readonly (FoundLease | undefined)[]> {
    const records = await this.#readEach(tokens.map(({ hash }) => ({ keys: this.#format.lease(hash) })))
    const read = records.map((kv) => kv && this.#skipped.unlessUnreadable(kv, decodeLease))
    const wanted = tokens.flatMap(({ lease }, index) => {
      const record = read[index]
      // The id of its lease tells whose an instance is; without one, its value does.
      return record
        ? [{ index, record, keys: this.#format.instance(record), keyOnly: lease !== noLease }]
        : []
    })
    const instances = await this.#readEach(wanted)
    const found: (FoundLease | undefined)[] = tokens.map(() => undefined)
    for (const [at, { index, record }] of wanted.entries()) {
      const kv = instances[at]
      if (kv !== undefined && this.#isOf(tokens[index]!, record, kv))
        found[index] = { record, revision: Number(kv.mod_revision) }
    }
    return found
  }

  #isOf({ lease, hash }: Token, record: LeaseRecord, kv: IKeyValue): boolean {
    if (kv.lease !== lease) return false
    if (lease !== noLease) return true
    return this.#skipped.unlessUnreadable(kv, (value) => this.#format.decode(record, value))?.lease === hash
  }

  async #readEach(wanted: readonly Wanted[]): Promise<readonly (IKeyValue | undefined)[]> {
    const starts = Array.from(
      { length: Math.ceil(wanted.length / mostOperations) },
      (_, n) => n * mostOperations,
    )
    const parts = await Promise.all(
      starts.map(async (start) => {
        const { pages } = await this.#cluster.read(wanted.slice(start, start + mostOperations))
        return pages.map(({ kvs: [kv] }) => kv)
      }),
    )
    return parts.flat()
  }
}
