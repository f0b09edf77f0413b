import {
  type CheckReport,
  type ClaimKey,
  displayName,
  type Health,
  type Holder,
  type Instance,
  type InstanceKey,
  type Revision,
  registeredHealth,
  reported,
  SeamarkError,
} from '@seamark/core'
import type { IRequestOp } from 'etcd3'
import { type Cluster, isLeaseLost, type Outcome, type Page, revisionOf } from './cluster.ts'
import type { Format } from './format.ts'
import type { KeyRange } from './key-range.ts'
import type { Leases } from './leases.ts'
import {
  decodeClaim,
  decodeHealth,
  encodeClaim,
  encodeHealth,
  encodeLease,
  type LeaseRecord,
} from './records.ts'
import type { Skipped } from './skipped.ts'
import type { Token } from './token.ts'

/** Claims that one transaction gives up beside what else it does. */
const claimsTogether = 100
/** Races that one operation may lose. One of those who race always wins. */
const mostRaces = 1_000

/** What is known of a key when something is about to be written. */
interface Former {
  readonly revision: Revision
  readonly instance: FormerInstance | undefined
  readonly health: { readonly value: Health | undefined; readonly modified: Revision } | undefined
  /** Keys of the claims that the instance holds. */
  readonly claims: readonly Buffer[]
}

interface FormerInstance {
  readonly modified: Revision
  /** Of etcd. */
  readonly lease: string
  /** The hash of the token; `undefined` for what others wrote. */
  readonly hash: string | undefined
  /** `undefined`: it cannot be read. */
  readonly value: Instance | undefined
}

const nothing: Former = { revision: 0, instance: undefined, health: undefined, claims: [] }

/**
 * What is written under an instance's key. Each operation reads, decides, and writes in one transaction if nothing has changed
 * meanwhile; else it decides anew. Whether an earlier try got through is seen in what is there then.
 */
export class Registrations {
  readonly #cluster: Cluster
  readonly #format: Format
  readonly #leases: Leases
  readonly #skipped: Skipped

  constructor(cluster: Cluster, format: Format, leases: Leases, skipped: Skipped) {
    this.#cluster = cluster
    this.#format = format
    this.#leases = leases
    this.#skipped = skipped
  }

  /** Puts an instance, bound to the token's lease, in the place of what was there. */
  async put(instance: Instance, { hash, lease }: Token, ttl: number | undefined): Promise<Revision> {
    const { namespace, service, id } = instance
    const record: LeaseRecord = { namespace, service, id, ...(ttl !== undefined && { ttl }) }
    const own = [
      put(this.#format.lease(hash), encodeLease(record), lease),
      put(this.#format.instance(instance), this.#format.encode({ instance, lease: hash }), lease),
    ]
    // Most are new. If this one is not, the first attempt tells what is there.
    return this.#race(instance, nothing, async (former) => {
      if (former.instance?.hash === hash) return former.instance.modified
      try {
        const health = this.#healthOf(instance, former, lease)
        return await this.#replace(instance, former, [...own, ...health, ...this.#endOf(former)])
      } catch (error) {
        if (!isLeaseLost(error) || ttl === undefined) throw error
        // So much time went by that the lease was over before it was used.
        await this.#leases.grant(lease, ttl)
        return this.#former(instance)
      }
    })
  }

  /** Removes an instance, if it is (still) of the lease with that hash; default of any. Answers the revision. */
  async remove(key: InstanceKey, hash?: string): Promise<Revision | undefined> {
    let unsure = false
    return this.#race<Revision | undefined>(key, await this.#former(key), async (former) => {
      const { instance } = former
      if (instance === undefined || (hash !== undefined && instance.hash !== hash))
        // A try of which nothing was heard may have been the one that removed it.
        return unsure ? former.revision : undefined
      const own = [remove(this.#format.instance(key)), remove(this.#format.health(key))]
      return this.#replace(key, former, [...own, ...this.#endOf(former)], (repeated) => {
        unsure ||= repeated
      })
    })
  }

  /** Throws `instance_not_found`, `invalid_field`. */
  async report(key: InstanceKey, reports: readonly CheckReport[]): Promise<Revision> {
    return this.#race(key, await this.#former(key), async (former) => {
      const { instance, health } = former
      if (instance?.value === undefined)
        throw new SeamarkError('instance_not_found', `No instance ${displayName(key)} is registered.`)
      const before = health?.value ?? registeredHealth(instance.value.checks, undefined)
      const after = reported(before, reports)
      if (after === before) return Math.max(instance.modified, health?.modified ?? 0)
      try {
        const write = put(this.#format.health(key), encodeHealth(after), instance.lease)
        const outcome = await this.#transactUnless(key, former, [write])
        return outcome.succeeded ? outcome.revision : this.#formerIn(key, outcome)
      } catch (error) {
        // The lease ended just now, and the instance with it.
        if (!isLeaseLost(error)) throw error
        return this.#former(key)
      }
    })
  }

  /** Who holds the claim now: the instance, if it could be had. `undefined`: the lease is lost. */
  async claim(key: ClaimKey, { hash, lease }: Token, id: string): Promise<Holder | undefined> {
    const { namespace, service } = key
    const at = this.#format.claim(key)
    const record = this.#format.lease(hash)
    const instance = this.#format.instance({ namespace, service, id })
    const { succeeded, revision, responses } = await this.#cluster.transact({
      compare: [
        { target: 'Create', key: at, result: 'Equal', create_revision: 0 },
        { target: 'Create', key: record, result: 'Greater', create_revision: 0 },
        { target: 'Create', key: instance, result: 'Greater', create_revision: 0 },
        { target: 'Lease', key: instance, result: 'Equal', lease },
      ],
      success: [put(at, encodeClaim(id), lease)],
      failure: [range(at), range(record), range(instance)],
    })
    if (succeeded) return Object.freeze({ ...key, id, fence: revision })
    const [present, held, there] = responses.map((response) => response.response_range.kvs[0])
    if (held === undefined || there?.lease !== lease) return undefined
    // A claim of the instance is this lease's: those of former leases are released with them.
    const holder = present && this.#skipped.unlessUnreadable(present, decodeClaim)
    return Object.freeze({ ...key, id: holder ?? '', fence: Number(present?.create_revision ?? 0) })
  }

  /** Gives a claim up, if it is still the same. */
  async release(holder: Holder): Promise<void> {
    const key = this.#format.claim(holder)
    await this.#cluster.transact({
      compare: [{ target: 'Create', key, result: 'Equal', create_revision: holder.fence }],
      success: [remove(key)],
    })
  }

  #healthOf(instance: Instance, former: Former, lease: string): readonly IRequestOp[] {
    // Without an instance, it is what somebody left who removed that.
    const health = registeredHealth(instance.checks, former.instance && former.health?.value)
    const key = this.#format.health(instance)
    if (health.checks.length > 0) return [put(key, encodeHealth(health), lease)]
    return former.health === undefined ? [] : [remove(key)]
  }

  #endOf({ instance }: Former): readonly IRequestOp[] {
    return instance?.hash === undefined ? [] : [remove(this.#format.lease(instance.hash))]
  }

  /** Writes, and releases the claims of the former, of which there may be more than one transaction can take. */
  async #replace(
    key: InstanceKey,
    former: Former,
    writes: readonly IRequestOp[],
    tried: (repeated: boolean) => void = () => {},
  ): Promise<Revision | Former> {
    const releases = former.claims.slice(0, claimsTogether).map(remove)
    const last = releases.length === former.claims.length
    const outcome = await this.#transactUnless(key, former, last ? [...releases, ...writes] : releases)
    if (last) tried(outcome.repeated)
    if (!outcome.succeeded) return this.#formerIn(key, outcome)
    if (!last) return this.#former(key)
    // A lease of ours binds nothing else; one of others may.
    if (former.instance?.hash !== undefined) this.#leases.revoke(former.instance.lease)
    return outcome.revision
  }

  async #race<T extends Revision | undefined>(
    key: InstanceKey,
    former: Former,
    attempt: (former: Former) => Promise<T | Former>,
  ): Promise<T> {
    let known = former
    for (let races = 0; races < mostRaces; races++) {
      const answer = await attempt(known)
      if (typeof answer !== 'object') return answer
      known = answer
    }
    const message = `Too many write ${displayName(key)} at once: nothing was changed.`
    throw new SeamarkError('engine_unavailable', message)
  }

  /** Writes, unless the instance, its health or who claims what in the service is not as it was known. */
  #transactUnless(key: InstanceKey, former: Former, success: readonly IRequestOp[]): Promise<Outcome> {
    const { from, end } = this.#format.claims(key)
    return this.#cluster.transact({
      compare: [
        {
          target: 'Mod',
          key: this.#format.instance(key),
          result: 'Equal',
          mod_revision: former.instance?.modified ?? 0,
        },
        {
          target: 'Mod',
          key: this.#format.health(key),
          result: 'Equal',
          mod_revision: former.health?.modified ?? 0,
        },
        {
          target: 'Create',
          key: from,
          range_end: end,
          result: 'Less',
          create_revision: former.revision + 1,
        },
      ],
      success,
      failure: this.#parts(key).map(range),
    })
  }

  #parts(key: InstanceKey): readonly (Buffer | KeyRange)[] {
    return [this.#format.instance(key), this.#format.health(key), this.#format.claims(key)]
  }

  async #former(key: InstanceKey): Promise<Former> {
    const { header, pages } = await this.#cluster.read(this.#parts(key).map((keys) => ({ keys })))
    return this.#formerOf(key, revisionOf(header), pages)
  }

  #formerIn(key: InstanceKey, { revision, responses }: Outcome): Former {
    const pages = responses.map((response) => response.response_range)
    return this.#formerOf(key, revision, pages)
  }

  #formerOf(key: InstanceKey, revision: Revision, [instances, healths, claims]: readonly Page[]): Former {
    const [instance] = instances!.kvs
    const [health] = healths!.kvs
    const stored =
      instance && this.#skipped.unlessUnreadable(instance, (value) => this.#format.decode(key, value))
    return {
      revision,
      instance: instance && {
        modified: Number(instance.mod_revision),
        lease: instance.lease,
        hash: stored?.lease,
        value: stored?.instance,
      },
      health: health && {
        modified: Number(health.mod_revision),
        value: this.#skipped.unlessUnreadable(health, decodeHealth),
      },
      claims: claims!.kvs
        .filter((kv) => this.#skipped.unlessUnreadable(kv, decodeClaim) === key.id)
        .map((kv) => kv.key),
    }
  }
}

function put(key: Buffer, value: Buffer, lease: string): IRequestOp {
  return { request_put: { key, value, lease } }
}

function remove(key: Buffer): IRequestOp {
  return { request_delete_range: { key } }
}

function range(keys: Buffer | KeyRange): IRequestOp {
  return { request_range: Buffer.isBuffer(keys) ? { key: keys } : { key: keys.from, range_end: keys.end } }
}
