import type { Clock, Items, Revision, WriteOperation } from '@seamark/core'
import { ConsulError } from '../answer.ts'
import type { ConsulContext } from '../context.ts'

/** What to write, and what to answer once it is written at a revision. */
export interface Plan<T> {
  readonly operations: readonly WriteOperation[]
  readonly result: (revision: Revision) => T
}

/** How often others may be faster. Within one server, `Turns` keep writers of the same keys apart. */
const most = 100

/** Milliseconds to wait for the change that was in the way, at most. */
const patience = 1_000

/**
 * Plans from what the replica shows, writes, and waits until the replica shows that too; plans anew when something that the
 * plan compares was changed by then. So nothing is answered from what was not true when it was written.
 */
export async function attempt<T>(context: ConsulContext, plan: () => Plan<T>): Promise<T> {
  const { items, server, itemsVisible } = context
  for (let count = 0; count < most; count++) {
    const { operations, result } = plan()
    const revision = operations.length === 0 ? 0 : await server.engine.write(operations)
    if (revision !== undefined) {
      await itemsVisible(revision)
      return result(revision)
    }
    await overtaken(operations, items, server.clock)
  }
  throw new ConsulError(503, 'Others changed the same keys again and again: try again later.', {
    'Retry-After': '1',
  })
}

/** Resolves once the replica shows something else than what was compared, or after a while. */
function overtaken(operations: readonly WriteOperation[], items: Items, clock: Clock): Promise<void> {
  const isOvertaken = () =>
    operations.some(({ key, at }) => at !== undefined && at !== (items.get(key)?.modifiedRevision ?? 0))
  if (isOvertaken()) return Promise.resolve()
  return new Promise((resolve) => {
    const timer = clock.after(patience, end)
    const listening = items.subscribe(() => {
      if (isOvertaken()) end()
    })
    function end() {
      timer.cancel()
      listening[Symbol.dispose]()
      resolve()
    }
  })
}
