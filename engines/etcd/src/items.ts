import { checkWrite, type Revision, SeamarkError, type WriteOperation } from '@seamark/core'
import type { ICompare, IRequestOp } from 'etcd3'
import type { Cluster, Outcome } from './cluster.ts'

/** Races that one write may lose. One of those who race always wins. */
const mostRaces = 1_000

/** An operation with the bytes that etcd gets. Copies: what the writer does with its own later is not written. */
interface Step {
  readonly key: Buffer
  readonly at: Revision | undefined
  /** `undefined`: only compares. */
  readonly write: IRequestOp | undefined
}

/** Items, each under its key as it is, with its value as it is: etcd's own revisions say the rest. */
export class Items {
  readonly #cluster: Cluster
  readonly #root: string

  /** `root`: what the keys of items begin with. */
  constructor(cluster: Cluster, root: string) {
    this.#cluster = cluster
    this.#root = root
  }

  /** Takes what is to be written: throws `invalid_field` now; the answer writes it. */
  prepare(operations: readonly WriteOperation[]): () => Promise<Revision | undefined> {
    checkWrite(operations)
    const steps = operations.map((operation) => this.#step(operation))
    return () => this.#write(steps)
  }

  /**
   * The transaction compares all keys with what they are known to be, also those that the writer does not care for. So
   * a try that is heard of no more, or that comes late, does no harm: only one of them can get through.
   */
  async #write(steps: readonly Step[]): Promise<Revision | undefined> {
    if (steps.length === 0) return 0
    let known = await this.#expected(steps)
    for (let races = 0; races < mostRaces; races++) {
      if (steps.some(({ at }, index) => at !== undefined && at !== known[index])) return undefined
      const outcome = await this.#cluster.transact({
        compare: steps.map(({ key }, index) => unchanged(key, known[index]!)),
        success: steps.flatMap(({ write }) => write ?? []),
        failure: steps.map(({ key }) => ({ request_range: { key, keys_only: true } })),
      })
      if (outcome.succeeded) return changed(outcome) ? outcome.revision : 0
      if (outcome.repeated && steps.some(({ write }) => write !== undefined))
        throw new SeamarkError(
          'engine_unavailable',
          'A member of etcd went away before it answered: the items may have been written, or others wrote them first.',
        )
      known = outcome.responses.map(({ response_range }) => Number(response_range.kvs[0]?.mod_revision ?? 0))
    }
    throw new SeamarkError(
      'engine_unavailable',
      'Too many write the same items at once: nothing was changed.',
    )
  }

  /** The revision that each key has to have: what is asked for, or, if that does not matter, what it is now. */
  async #expected(steps: readonly Step[]): Promise<readonly Revision[]> {
    if (steps.every(({ at }) => at !== undefined)) return steps.map(({ at }) => at!)
    const { pages } = await this.#cluster.read(steps.map(({ key }) => ({ keys: key, keyOnly: true })))
    return pages.map(({ kvs }) => Number(kvs[0]?.mod_revision ?? 0))
  }

  #step(operation: WriteOperation): Step {
    const { type, at } = operation
    const key = Buffer.from(this.#root + operation.key)
    if (type === 'put')
      return { key, at, write: { request_put: { key, value: Buffer.from(operation.value) } } }
    return { key, at, write: type === 'delete' ? { request_delete_range: { key } } : undefined }
  }
}

function unchanged(key: Buffer, revision: Revision): ICompare {
  return { target: 'Mod', key, result: 'Equal', mod_revision: revision }
}

/** Without a put, it may be that nothing was there to delete. */
function changed({ responses }: Outcome): boolean {
  return responses.some(
    ({ response_put, response_delete_range }) =>
      Boolean(response_put) || Number(response_delete_range?.deleted ?? 0) > 0,
  )
}
