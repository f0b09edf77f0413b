import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import {
  type Claim,
  type Engine,
  type Entry,
  type Health,
  type HealthStatus,
  type Holder,
  healthStatuses,
  type Instance,
  instanceId,
  type Lease,
  maintenanceCheck,
  registeredHealth,
  reported,
} from '@seamark/core'
import { array, assert, asyncProperty, boolean, constant, constantFrom, nat, oneof, record } from 'fast-check'
import { expect } from 'vitest'
import type { Follower } from '../follower.ts'
import type { Cases } from '../suite.ts'
import type { EngineTrial, State } from '../trial.ts'

interface Registered {
  readonly instance: Instance
  readonly lease: Lease
  readonly health: Health
}

/** What the engine should hold. */
interface Model {
  readonly registered: Map<string, Registered>
  readonly claims: Map<string, { readonly id: string; readonly claim: Claim }>
  /** Every lease that was ever given. */
  readonly leases: Lease[]
  /** The highest fence that each name had. */
  readonly fences: Map<string, number>
}

interface World {
  readonly trial: EngineTrial
  readonly engine: Engine
  readonly namespace: string
  readonly model: Model
  readonly following: Follower
}

/** Does one thing to the engine and the model, and expects the same answer of both. */
type Step = (world: World) => Promise<void>

const ids = constantFrom('a', 'b', 'c', 'd')
const names = constantFrom('primary', 'spare')
const checkIds = constantFrom('up', 'disk', maintenanceCheck)
const statuses = constantFrom<HealthStatus | null>(...healthStatuses, null)

const register = record({ id: ids, port: nat(9), leased: boolean(), checked: boolean() }).map(
  ({ id, port, leased, checked }): Step =>
    async ({ trial, engine, namespace, model }) => {
      const checks = checked ? [await trial.check('up')] : []
      const instance = trial.instance(id, { namespace, port, checks })
      const lease = await engine.register(instance, leased ? { ttl: ttlOf(trial) } : {})
      forgetClaims(model, id)
      const health = registeredHealth(instance.checks, model.registered.get(id)?.health)
      model.registered.set(id, { instance, lease, health })
      model.leases.push(lease)
    },
)

const deregister = ids.map(
  (id): Step =>
    async ({ trial, engine, namespace, model }) => {
      const revision = await engine.deregister({ ...trial.key(id), namespace })
      expect(revision !== undefined).toBe(forget(model, id))
    },
)

const release = nat(50).map(
  (at): Step =>
    async ({ engine, model }) => {
      const lease = model.leases[at % Math.max(1, model.leases.length)]
      if (lease === undefined) return
      const held = isHeld(model, lease)
      expect((await engine.release(lease.token)) !== undefined).toBe(held)
      if (held) forget(model, lease.key.id)
    },
)

const report = record({ id: ids, check: checkIds, status: statuses, output: nat(2).map(String) }).map(
  ({ id, check, status, output }): Step =>
    async ({ trial, engine, namespace, model }) => {
      const reports = [{ id: check, status, output }]
      const registered = model.registered.get(id)
      const reporting = engine.report({ ...trial.key(id), namespace }, reports)
      if (registered === undefined)
        return await expect(reporting).rejects.toMatchObject({ code: 'instance_not_found' })
      await reporting
      model.registered.set(id, { ...registered, health: reported(registered.health, reports) })
    },
)

const claim = record({ at: nat(50), name: names }).map(
  ({ at, name }): Step =>
    async ({ engine, model }) => {
      const lease = model.leases[at % Math.max(1, model.leases.length)]
      if (lease === undefined) return
      const claiming = engine.claim(name, lease)
      if (!isHeld(model, lease)) return await expect(claiming).rejects.toMatchObject({ code: 'lease_lost' })
      const claim = await claiming
      const present = model.claims.get(name)
      if (present === undefined) {
        expect(claim!.holder).toMatchObject({ id: lease.key.id, name })
        expect(claim!.holder.fence).toBeGreaterThan(model.fences.get(name) ?? -1)
        model.fences.set(name, claim!.holder.fence)
        model.claims.set(name, { id: lease.key.id, claim: claim! })
      } else if (present.id === lease.key.id) expect(claim!.holder).toEqual(present.claim.holder)
      else expect(claim).toBeUndefined()
    },
)

const unclaim = names.map(
  (name): Step =>
    async ({ model }) => {
      await model.claims.get(name)?.claim[Symbol.asyncDispose]()
      model.claims.delete(name)
    },
)

const renew = constant<Step>(async ({ engine, model }) => {
  const held = await engine.renew(model.leases.map(({ token }) => token))
  expect(held).toEqual(model.leases.map((lease) => isHeld(model, lease)))
})

const expire = constant<Step>(async ({ trial, model, following }) => {
  // Where time cannot be driven, leases are too long to end here.
  if (!trial.time.driven) return
  await trial.time.elapse(ttlOf(trial) + trial.terms.lateness)
  for (const [id, { lease }] of model.registered) if (lease.ttl !== undefined) forget(model, id)
  // Nobody was answered when it was done.
  await following.until('the end of the leases', () => following.entries.size === model.registered.size)
})

const steps = array(
  oneof(
    { weight: 6, arbitrary: register },
    { weight: 2, arbitrary: deregister },
    { weight: 2, arbitrary: release },
    { weight: 4, arbitrary: report },
    { weight: 4, arbitrary: claim },
    { weight: 1, arbitrary: unclaim },
    { weight: 1, arbitrary: renew },
    { weight: 1, arbitrary: expire },
  ).chain((step) => boolean().map((second) => ({ step, second }))),
  { maxLength: 40, size: 'max' },
)

export const converging: Cases<EngineTrial> = {
  'whatever happens, watches end up with what the engine holds, and that is right': async (trial) => {
    const handles = [await trial.open(), await trial.open()]
    const property = asyncProperty(steps, async (sequence) => {
      const namespace = `t${randomUUID()}`
      const services = [{ ...trial.service, namespace }]
      const model: Model = { registered: new Map(), claims: new Map(), leases: [], fences: new Map() }
      const followers = handles.map((handle) => trial.follow(handle, services))
      for (const { step, second } of sequence)
        await step({
          trial,
          engine: handles[second ? 1 : 0]!,
          namespace,
          model,
          following: followers[0]!,
        })
      const expected = inModel(model)
      for (const [index, following] of followers.entries()) {
        await following
          .until('the state of the model', () => isDeepStrictEqual(shown(following), expected))
          // Shows the difference.
          .catch(() => expect(shown(following)).toEqual(expected))
        // What the model calls the same may have changed and changed back: then the last of it may still be on its way.
        const read = sorted(folded(await trial.read(handles[index]!, services)))
        await following
          .until('what a new watch shows', () => isDeepStrictEqual(sorted(following), read))
          .catch(() => expect(sorted(following)).toEqual(read))
        await trial.unfollow(following)
      }
    })
    await assert(property, { numRuns: 30, endOnFailure: true })
  },
}

interface Shown {
  readonly instances: readonly { readonly instance: Instance; readonly health: Health }[]
  readonly holders: readonly Holder[]
}

type Folded = Pick<Follower, 'entries' | 'holders'>

function inModel({ registered, claims }: Model): Shown {
  return {
    instances: inOrder(registered).map(({ instance, health }) => ({ instance, health })),
    holders: inOrder(claims).map(({ claim }) => claim.holder),
  }
}

function shown(state: Folded): Shown {
  const { entries, holders } = sorted(state)
  return { instances: entries.map(({ instance, health }) => ({ instance, health })), holders }
}

function sorted({ entries, holders }: Folded): { entries: readonly Entry[]; holders: readonly Holder[] } {
  return { entries: inOrder(entries), holders: inOrder(holders) }
}

function folded({ entries, holders }: State): Folded {
  return {
    entries: new Map(entries.map((entry) => [instanceId(entry.instance), entry])),
    holders: new Map(holders.map((holder) => [instanceId({ ...holder, id: holder.name }), holder])),
  }
}

function inOrder<V>(map: ReadonlyMap<string, V>): V[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}

function ttlOf({ time, ttl }: EngineTrial): number {
  return time.driven ? ttl : 1_000 * ttl
}

function isHeld({ registered }: Model, lease: Lease): boolean {
  return registered.get(lease.key.id)?.lease === lease
}

function forget(model: Model, id: string): boolean {
  forgetClaims(model, id)
  return model.registered.delete(id)
}

function forgetClaims({ claims }: Model, id: string): void {
  for (const [name, { id: holder }] of claims) if (holder === id) claims.delete(name)
}
