import type { Revision, WriteOperation } from '@seamark/core'
import type { Paths } from './paths.ts'
import { Conflict, type Operation, type Session, type Stat } from './session.ts'

export interface ItemWritingOptions {
  readonly session: Session
  readonly paths: Paths
  commit(operations: readonly Operation[]): Promise<{ readonly revision: Revision }>
}

interface Plan {
  readonly operations: readonly Operation[]
  /** Whether there is anything to change. */
  readonly changes: boolean
  /** Whether there is anything to compare. */
  readonly compares: boolean
}

const nothing = Buffer.alloc(0)

/**
 * Writes items in one transaction: answers its revision, 0 when there was nothing to change, `undefined` when a comparison
 * did not hold. Throws `Conflict` when it is to be tried again.
 *
 * ZooKeeper compares versions, not revisions: the version of a node begins anew with the node, so that it may be
 * of another one than was looked at. Therefore who removes an item counts that in a guard, and who compares compares the
 * guard, too. There are 256 guards, so that few who have nothing to do with each other meet.
 */
export async function writeItems(
  options: ItemWritingOptions,
  operations: readonly WriteOperation[],
): Promise<Revision | undefined> {
  const { session, paths, commit } = options
  let plan = await planned(options, operations)
  if (plan === undefined || !plan.changes) {
    // For certain: a server may be behind.
    await session.sync()
    plan = await planned(options, operations)
  }
  if (plan === undefined) return undefined
  if (!plan.changes && !plan.compares) return 0
  const { revision } = await commit(plan.operations)
  await tidy(session, paths, plan.operations)
  return plan.changes ? revision : 0
}

/** `undefined`: a comparison does not hold. */
async function planned(
  { session, paths }: ItemWritingOptions,
  operations: readonly WriteOperation[],
): Promise<Plan | undefined> {
  const guardPaths = [...new Set(operations.map(({ key }) => paths.itemGuard(key)))]
  // Answers come in the order of the questions: what is removed after the guard was read is noticed.
  const [guards, stats] = await Promise.all([
    Promise.all(guardPaths.map((path) => session.stat(path))),
    Promise.all(operations.map(({ key }) => session.stat(paths.item(key)))),
  ])
  if (operations.some(({ at }, index) => at !== undefined && at !== (stats[index]?.modified ?? 0)))
    return undefined
  const steps: Operation[] = []
  const removed = new Set<string>()
  const compared = new Set<string>()
  for (const [index, operation] of operations.entries()) {
    const stat = stats[index]
    steps.push(...stepsOf(operation, paths.item(operation.key), stat))
    if (stat === undefined) continue
    const guard = paths.itemGuard(operation.key)
    if (operation.type === 'delete') removed.add(guard)
    if (operation.at !== undefined) compared.add(guard)
  }
  const versions = new Map(guardPaths.map((path, index) => [path, guards[index]?.version]))
  const needed = guardPaths.filter((path) => removed.has(path) || compared.has(path))
  const missing = needed.filter((path) => versions.get(path) === undefined)
  if (missing.length > 0) {
    await Promise.all(missing.map((path) => session.make(path, false)))
    throw new Conflict(0, 'missing', undefined)
  }
  for (const path of needed) {
    const expected = compared.has(path) ? { version: versions.get(path)! } : {}
    if (removed.has(path)) steps.unshift({ type: 'set', path, data: nothing, ...expected })
    else steps.unshift({ type: 'check', path, ...expected })
  }
  return {
    operations: steps,
    changes: operations.some(
      ({ type }, index) => type === 'put' || (type === 'delete' && stats[index] !== undefined),
    ),
    compares: operations.some(({ at }) => at !== undefined),
  }
}

function stepsOf(operation: WriteOperation, path: string, stat: Stat | undefined): readonly Operation[] {
  const { type, at } = operation
  const expected = stat === undefined || at === undefined ? {} : { version: stat.version }
  if (type === 'put') {
    const data = Buffer.from(operation.value)
    return [stat === undefined ? { type: 'create', path, data } : { type: 'set', path, data, ...expected }]
  }
  if (stat !== undefined) return [{ type: type === 'delete' ? 'remove' : 'check', path, ...expected }]
  // That it is not there is nothing that ZooKeeper compares; this fails when it is.
  return [
    { type: 'create', path, data: nothing },
    { type: 'remove', path },
  ]
}

/** Removes directories that have become empty. */
async function tidy(session: Session, paths: Paths, operations: readonly Operation[]): Promise<void> {
  const removed = operations.filter(
    ({ type, path }) => type === 'remove' && path.startsWith(`${paths.items}/`),
  )
  const directories = new Set(removed.map(({ path }) => path.slice(0, path.lastIndexOf('/'))))
  await Promise.all(
    [...directories].map(async (path) => {
      try {
        const stat = await session.stat(path)
        if (stat?.children === 0) await session.commit([{ type: 'remove', path, version: stat.version }])
      } catch {
        // Somebody wrote there meanwhile, or ZooKeeper is gone. The write is done, whatever becomes of the empty node.
      }
    }),
  )
}
