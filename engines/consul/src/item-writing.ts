import { randomInt } from 'node:crypto'
import { type Revision, SeamarkError, type WriteOperation } from '@seamark/core'
import {
  type Agent,
  Conflict,
  type Item,
  type Operation,
  operationsBound,
  transactionBound,
} from './agent.ts'
import type { Keys } from './keys.ts'

/** Steps that fail when what they find is unlike expected. */
const comparing: ReadonlySet<string> = new Set(['cas', 'check-index', 'check-not-exists'])

/**
 * Writes items in one transaction: answers its index, 0 when there was nothing to change, `undefined` when a comparison did
 * not hold.
 */
export async function writeItems(
  agent: Agent,
  keys: Keys,
  operations: readonly WriteOperation[],
): Promise<Revision | undefined> {
  const flags = unlikeBefore()
  const steps = operations.flatMap((operation) => stepsOf(operation, keys.item(operation.key), flags))
  const [only] = operations
  let sent = steps
  try {
    if (operations.length === 1 && only?.type === 'put' && JSON.stringify(steps).length > transactionBound)
      return await putAlone(agent, keys.item(only.key), only, flags)
    if (steps.length > operationsBound) throw tooManyRemovals()
    if (operations.some(({ type }) => type === 'put')) return latest(await agent.write(steps))
    const removed = await toRemove(agent, keys, operations)
    if (removed.length > 0) {
      await agent.write(steps)
      // A transaction that only removes has no index in its answer. What is left of an entry has one, for some minutes.
      return Math.max(...(await Promise.all(removed.map((entry) => agent.index(entry)))))
    }
    sent = steps.filter(isComparison)
    if (sent.length > 0) await agent.compare(sent)
    return 0
  } catch (error) {
    if (!(error instanceof Conflict)) throw error
    if (error.at.every((index) => isComparison(sent[index]))) return undefined
    throw new SeamarkError('engine_unavailable', `Consul refused a write of items: ${error.message}`, {
      cause: error,
    })
  }
}

/** What Consul cannot take in a transaction. */
async function putAlone(
  agent: Agent,
  key: string,
  { value, at }: Extract<WriteOperation, { type: 'put' }>,
  flags: number,
): Promise<Revision | undefined> {
  if (!(await agent.put(key, value, flags, at))) return undefined
  return agent.index(key)
}

/** The entries that are there to be removed. */
async function toRemove(
  agent: Agent,
  keys: Keys,
  operations: readonly WriteOperation[],
): Promise<readonly string[]> {
  const found = await Promise.all(
    operations.map(async ({ type, key, at }) => {
      const entry = keys.item(key)
      if (type !== 'delete' || at === 0) return []
      return at !== undefined || (await agent.item(entry)) !== undefined ? entry : []
    }),
  )
  return found.flat()
}

/** Answers tell of the entries that were compared, too, at the index of their last change. */
function latest(items: readonly Item[]): Revision {
  return Math.max(...items.map(({ ModifyIndex }) => ModifyIndex))
}

function stepsOf(operation: WriteOperation, Key: string, Flags: number): readonly Operation[] {
  const { type, at } = operation
  if (type === 'put') {
    const Value = Buffer.from(operation.value).toString('base64')
    if (at === undefined) return [{ KV: { Verb: 'set', Key, Value, Flags } }]
    return [{ KV: { Verb: 'cas', Key, Value, Flags, Index: at } }]
  }
  const removal: Operation = { KV: { Verb: 'delete', Key } }
  if (at === undefined) return [removal]
  if (at === 0) return [{ KV: { Verb: 'check-not-exists', Key } }]
  const comparison: Operation = { KV: { Verb: 'check-index', Key, Index: at } }
  // Consul's own "delete-cas" is content with an entry that is not there.
  return type === 'check' ? [comparison] : [comparison, removal]
}

function isComparison(step: Operation | undefined): boolean {
  return step !== undefined && 'KV' in step && comparing.has(step.KV.Verb)
}

/** Consul does not count a write of what is there already. So each has flags of its own, which mean nothing. */
function unlikeBefore(): number {
  return randomInt(2 ** 48 - 1)
}

function tooManyRemovals(): SeamarkError {
  return new SeamarkError(
    'too_large',
    `A removal that compares takes two of the ${operationsBound} steps that Consul allows a transaction: write fewer of them at once.`,
  )
}
