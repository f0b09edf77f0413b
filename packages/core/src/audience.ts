import type { Commits } from './commits.ts'
import { Mailbox } from './mailbox.ts'

interface Batched {
  readonly changes: readonly unknown[]
}

interface Member<B> {
  readonly mailbox: Mailbox<B>
  readonly part: (batch: B) => B | undefined
}

/** When the state may be read. */
type Moments = Pick<Commits<never>, 'open' | 'read'>

/** Changes that may wait for a watcher that does not read; past that it gets a reset instead. */
const bound = 10_000

/** Those who watch an embedded engine. */
export class Audience<B extends Batched> {
  readonly #commits: Moments
  readonly #members = new Set<Member<B>>()

  constructor(commits: Moments) {
    this.#commits = commits
  }

  /** `reset` reads what a watcher is told first; `part` says what of a batch concerns it. */
  async *watch(reset: () => B, part: Member<B>['part'], signal: AbortSignal): AsyncGenerator<B> {
    this.#commits.open()
    if (signal.aborted) return
    const mailbox = new Mailbox<B>(bound, (batch) => batch.changes.length)
    const member: Member<B> = { mailbox, part }
    const close = () => mailbox.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      let state = await this.#commits.read(() => {
        this.#members.add(member)
        return reset()
      })
      while (!signal.aborted) {
        yield state
        let batch = await mailbox.take()
        for (; typeof batch === 'object'; batch = await mailbox.take()) yield batch
        if (batch === undefined) break
        state = await this.#commits.read(() => {
          mailbox.clear()
          return reset()
        })
      }
    } finally {
      signal.removeEventListener('abort', close)
      this.#members.delete(member)
    }
    if (!signal.aborted) this.#commits.open()
  }

  tell(batch: B): void {
    for (const { mailbox, part } of this.#members) {
      const mine = part(batch)
      if (mine !== undefined) mailbox.put(mine)
    }
  }

  close(): void {
    for (const { mailbox } of this.#members) mailbox.close()
  }
}
