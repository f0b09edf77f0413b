import { Backoff, type Clock, isSeamarkError, type Revision, SeamarkError, sleep } from '@seamark/core'
import {
  castGrpcError,
  EtcdAuthenticationFailedError,
  EtcdLeaseInvalidError,
  type ICompare,
  type IKeyValue,
  type IRequestOp,
  type IResponseHeader,
  type IResponseOp,
  isRecoverableError,
} from 'etcd3'
import type { KeyRange } from './key-range.ts'
import type { Location } from './location.ts'
import { type CallOptions, Member, type WatchStream } from './member.ts'

/** Milliseconds for an operation, all tries together. */
const longest = 5_000
/** Milliseconds that a member has for an answer when there are others to ask. */
const turn = 2_000
/** Milliseconds after which no other try is begun: an election takes one or two election timeouts, of 1 s by default. */
const patience = longest - turn
/** Renewals that travel on one stream: a member does them one after the other. */
const renewalsTogether = 500
/** What one transaction may hold (`--max-txn-ops` of etcd, its default). */
export const mostOperations = 128

export interface Transaction {
  readonly compare: readonly ICompare[]
  readonly success: readonly IRequestOp[]
  /** What to do, most often to read, when a comparison fails. */
  readonly failure?: readonly IRequestOp[]
}

export interface Outcome {
  readonly succeeded: boolean
  readonly revision: Revision
  readonly responses: readonly IResponseOp[]
  /** Whether there was an earlier try, of which is not known what became of it. */
  readonly repeated: boolean
}

interface Tried<T> {
  readonly answer: T
  readonly repeated: boolean
}

export interface Wanted {
  readonly keys: KeyRange | Buffer
  /** Without the value. Default false. */
  readonly keyOnly?: boolean
}

/** A range as it was at one revision. */
export interface Page {
  readonly kvs: readonly IKeyValue[]
  /** Whether there is more after these. */
  readonly more: boolean
}

/**
 * The members of a cluster, as one. It stays with one member, chosen at random, and goes to the next when that one does not
 * answer. All that it does may be tried several times: callers see to it that twice does no harm.
 */
export class Cluster {
  readonly #clock: Clock
  readonly #members: readonly Member[]
  readonly #names: string
  #at: number
  #closed = false

  constructor(location: Location, clock: Clock) {
    const { members } = location
    this.#clock = clock
    this.#names = members.join(', ')
    this.#members = members.map((name) => new Member(name, location, clock, turn))
    this.#at = Math.floor(Math.random() * members.length)
  }

  /** Throws `closed`. */
  open(): void {
    if (this.#closed) throw new SeamarkError('closed', 'The engine was closed.')
  }

  async transact({ compare, success, failure = [] }: Transaction): Promise<Outcome> {
    const request = { compare: [...compare], success: [...success], failure: [...failure] }
    const { answer, repeated } = await this.#try((member, options) => member.kv.txn(request, options))
    const { succeeded, header, responses } = answer
    return { succeeded, revision: revisionOf(header), responses, repeated }
  }

  /** Reads at one moment: now, or at `revision`. `limit`: keys of each range. */
  async read(
    wanted: readonly Wanted[],
    { revision = 0, limit = 0 }: { revision?: Revision; limit?: number } = {},
  ): Promise<{ header: IResponseHeader; pages: readonly Page[] }> {
    const success = wanted.map(({ keys, keyOnly = false }) => {
      const range = Buffer.isBuffer(keys) ? { key: keys } : { key: keys.from, range_end: keys.end }
      return { request_range: { ...range, keys_only: keyOnly, limit, revision } }
    })
    const { answer } = await this.#try((member, options) => member.kv.txn({ success }, options))
    return { header: answer.header, pages: answer.responses.map((response) => response.response_range) }
  }

  /** Asks for a lease with this id. Answers the TTL granted, in ms. */
  async grant(id: string, ttl: number): Promise<number> {
    const { answer } = await this.#try(async (member, options) => {
      try {
        const { TTL } = await member.leases.leaseGrant({ ID: id, TTL: Math.ceil(ttl / 1_000) }, options)
        return TTL
      } catch (error) {
        // An earlier try got through.
        if (!String(error).includes('lease already exists')) throw error
        const { grantedTTL } = await member.leases.leaseTimeToLive({ ID: id }, options)
        return grantedTTL
      }
    })
    return Number(answer) * 1_000
  }

  /** Ends a lease, and removes what is bound to it. One that is over is fine. */
  async revoke(id: string): Promise<void> {
    await this.#try(async (member, options) => {
      try {
        await member.leases.leaseRevoke({ ID: id }, options)
      } catch (error) {
        if (!isLeaseLost(error)) throw error
      }
    })
  }

  /** Renews leases once. Answers the ids of those that are alive. */
  async keepAlive(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const starts = Array.from(
      { length: Math.ceil(ids.length / renewalsTogether) },
      (_, n) => n * renewalsTogether,
    )
    const alive = await Promise.all(
      starts.map(async (start) => {
        const some = ids.slice(start, start + renewalsTogether)
        return (await this.#try((member, options) => keptAlive(member, options, some))).answer
      }),
    )
    return new Set(alive.flat())
  }

  /** A stream of one member, and how to say that it was no good. */
  async watch(): Promise<{ stream: WatchStream; failed(): void }> {
    this.open()
    const member = this.#members[this.#at]!
    try {
      return { stream: await member.watch(), failed: () => this.#leave(member) }
    } catch (error) {
      this.#leave(member)
      throw error
    }
  }

  /** The newest header, from a quorum. */
  async header(): Promise<IResponseHeader> {
    return (await this.read([])).header
  }

  close(): void {
    this.#closed = true
    for (const member of this.#members) member.close()
  }

  /** As an error to throw. */
  unavailable(cause: unknown): SeamarkError {
    if (isSeamarkError(cause)) return cause
    if (this.#closed) return new SeamarkError('closed', 'The engine was closed.', { cause })
    return new SeamarkError('engine_unavailable', `etcd (${this.#names}) does not serve: ${reason(cause)}.`, {
      cause,
    })
  }

  /**
   * Tries members in turn, for as long as patience lasts. Throws the driver's error when asking another member would change
   * nothing.
   */
  async #try<T>(work: (member: Member, options: CallOptions) => Promise<T>): Promise<Tried<T>> {
    const begun = this.#clock.now()
    const backoff = new Backoff({ first: 50, most: 500 })
    for (let tries = 1; ; tries++) {
      this.open()
      const member = this.#members[this.#at]!
      try {
        const left = longest - (this.#clock.now() - begun)
        const time = this.#members.length === 1 ? left : Math.min(left, turn)
        const answer = await work(member, { deadline: this.#clock.date() + time })
        return { answer, repeated: tries > 1 }
      } catch (error) {
        if (isSignedOut(error)) member.forgetToken()
        else if (isAway(error)) this.#leave(member)
        else throw isLeaseLost(error) ? error : this.unavailable(error)
        if (this.#closed || this.#clock.now() - begun >= patience) throw this.unavailable(error)
        if (tries % this.#members.length === 0) await sleep(this.#clock, backoff.next())
      }
    }
  }

  #leave(member: Member): void {
    if (this.#members[this.#at] === member) this.#at = (this.#at + 1) % this.#members.length
  }
}

/** The lease that was asked about, or bound to, is over. */
export function isLeaseLost(error: unknown): boolean {
  return error instanceof EtcdLeaseInvalidError
}

/** The user or the password is wrong, missing, or given to an etcd that knows no users. */
export function isRefused(error: unknown): boolean {
  return (
    error instanceof EtcdAuthenticationFailedError ||
    /authentication is not enabled|user name is empty/.test(String(error))
  )
}

export function revisionOf({ revision }: { readonly revision: string }): Revision {
  return Number(revision)
}

/** A token ends after a while, and when users or roles change. */
function isSignedOut(error: unknown): boolean {
  return /invalid auth token|revision of auth store is old/.test(String(error))
}

/** Nothing was answered, or nothing can be: another member, or another time, may do better. */
export function isAway(error: unknown): boolean {
  return error instanceof Error && isRecoverableError(error)
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.replace(/\.$/, '') : String(error)
}

async function keptAlive(
  member: Member,
  options: CallOptions,
  ids: readonly string[],
): Promise<readonly string[]> {
  const stream = await member.renewals(options)
  return new Promise((resolve, reject) => {
    const alive: string[] = []
    let answers = 0
    stream.on('error', (error) => reject(castGrpcError(error)))
    stream.on('data', ({ ID, TTL }) => {
      if (Number(TTL) > 0) alive.push(ID)
      if (++answers < ids.length) return
      stream.end()
      resolve(alive)
    })
    stream.on('end', () =>
      reject(castGrpcError(Object.assign(new Error('The stream ended early'), { code: 14 }))),
    )
    for (const ID of ids) stream.write({ ID })
  })
}
