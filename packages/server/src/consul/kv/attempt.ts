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

/** Milliseconds to wait for the change that was in the way, if the replica is not told of it. */
const patience = 1_000

/**
 * Plans from what the replica shows, writes, and waits until the replica shows that too; plans anew when something that the
 * plan compares was changed by then. So nothing is answered from what was not true when it was written.
 */
export async function attempt<T>(context: ConsulContext, plan: () => Plan<T>): Promise<T> {
  const { items, server, itemsVisible } = context
  for (let count = 0; count < most; count++) {
    const seen = items.revision
    const { operations, result } = plan()
    const revision = operations.length === 0 ? 0 : await server.engine.write(operations)
    if (revision !== undefined) {
      await itemsVisible(revision)
      return result(revision)
    }
    if (items.revision === seen) await change(items, server.clock)
  }
  throw new ConsulError(503, 'Others changed the same keys again and again: try again later.', {
    'Retry-After': '1',
  })
}

function change(items: Items, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(patience, end)
    const listening = items.subscribe(end)
    function end() {
      timer.cancel()
      listening[Symbol.dispose]()
      resolve()
    }
  })
}
