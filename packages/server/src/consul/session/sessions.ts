import {
  type Clock,
  type Dated,
  type Item,
  type Items,
  type ItemsUpdate,
  Ledger,
  type Revision,
  type Timer,
  type WriteOperation,
} from '@seamark/core'
import { ConsulError } from '../answer.ts'
import type { ConsulContext } from '../context.ts'
import { goDuration } from '../go-duration.ts'
import { attempt } from '../kv/attempt.ts'
import { lockDelayPrefix, sessionPrefix } from '../kv/draft.ts'
import { Graveyard } from '../kv/graveyard.ts'
import { indexAt } from '../kv/index-at.ts'
import { longestLockDelay, type ReleaseOptions, release, renewalPrefix } from './release.ts'
import { checksGone, hasOtherChecks } from './session-checks.ts'
import {
  encodeEnded,
  encodeSession,
  endedSession,
  isAtServer,
  liveSession,
  type Session,
} from './session-item.ts'

/** What a request waits for that lists sessions. */
export const sessionsTopic = 'sessions'

/** What a request waits for that asks for this session. */
export function sessionTopic(id: string): string {
  return `session/${id}`
}

/**
 * Milliseconds that a server's node may be away before the sessions on it end: so long a restart may take. A node that
 * somebody told of is gone once it is deregistered.
 */
const serverAway = 30_000

/** Milliseconds after which another server finishes what one began. */
const unfinished = 1_000

/** Something that ends when its time is over: a session that is not renewed, a lock's delay. */
interface Deadline extends Dated {
  /** The item whose write started the time. */
  readonly name: string
  revision: Revision
  over(): Promise<void>
}

/**
 * Sessions: what holds locks. A session ends when its TTL is over without a renewal, when it is destroyed, when its node is
 * deregistered, or when one of its checks turns critical. First that is written; from then on it gets no lock. Then
 * its locks are released, or their keys removed, and at last it is removed itself: what a server leaves unfinished, another
 * one finishes, or the same after a restart.
 *
 * Deadlines are kept by every server for itself, from when it saw the renewal: clocks are never compared, and an end is
 * never early, since it is written only over the renewal that was seen.
 */
export class Sessions implements Disposable {
  readonly #options: ReleaseOptions
  readonly #context: ConsulContext
  readonly #items: Items
  readonly #clock: Clock
  readonly #ledger: Ledger<Deadline>
  readonly #deadlines = new Map<string, Deadline>()
  readonly #graveyard = new Graveyard()
  readonly #subscriptions: Disposable[] = []
  readonly #timers = new Set<Timer>()
  /** Sessions whose servers are away, since then. */
  readonly #away = new Map<string, number>()
  /** Sessions that other checks than that of their node's agent can end. */
  readonly #checked = new Set<string>()
  /** Sessions to look at whether their nodes and checks are still there. */
  #doubtful = new Set<string>()
  #begun = false
  #closed = false

  constructor(options: ReleaseOptions) {
    const { context } = options
    const { items, server, view } = context
    this.#options = options
    this.#context = context
    this.#items = items
    this.#clock = server.clock
    this.#ledger = new Ledger({
      clock: server.clock,
      notify: ({ level, event, message, details }) => server.log[level]({ event, ...details }, message),
      expire: (deadlines) => {
        for (const deadline of deadlines) this.#over(deadline)
      },
    })
    for (const item of items.list('consul/')) this.#saw(item)
    this.#subscriptions.push(items.subscribe((update) => this.#update(update)))
    Promise.all([items.warm(), server.catalog.warm()]).then(
      () => {
        this.#graveyard.raise(items.revision)
        if (this.#closed) return
        const all = () => this.#doubt(this.list().map(({ session }) => session.ID))
        this.#subscriptions.push(
          server.catalog.subscribe(() => this.#doubt(this.#checked)),
          view.nodes.subscribe(all),
        )
        this.#begun = true
        all()
      },
      () => {}, // Closed before it was warm.
    )
  }

  /** One that is not over. */
  get(id: string): { readonly item: Item; readonly session: Session } | undefined {
    const item = this.#items.get(sessionPrefix + id)
    const session = liveSession(item)
    return session && { item: item!, session }
  }

  /** In the order of their ids. */
  list(): readonly { readonly item: Item; readonly session: Session }[] {
    return this.#items.list(sessionPrefix).flatMap((item) => {
      const session = liveSession(item)
      return session ? [{ item, session }] : []
    })
  }

  /** From which on a change of any session is news. */
  get index(): number {
    let highest = 0
    for (const { item } of this.list()) highest = Math.max(highest, item.modifiedRevision)
    return indexAt(this.#graveyard.under('', highest))
  }

  /** From which on a change of this session is news. */
  indexOf(id: string): number {
    return indexAt(this.get(id)?.item.modifiedRevision ?? this.#graveyard.of(id))
  }

  /** Throws in Consul's words when the node or a check is not there, or a check is critical. */
  async create(session: Session): Promise<void> {
    const { view, server, itemsVisible } = this.#context
    const node = view.nodes.find(session.Node)
    if (node === undefined) throw new ConsulError(500, 'Missing node registration')
    const [problem] = checksGone(view, node, session)
    if (problem !== undefined) throw new ConsulError(500, problem)
    const value = encodeSession(session, node.server !== undefined)
    const operations: WriteOperation[] = [{ type: 'put', key: sessionPrefix + session.ID, value, at: 0 }]
    if (ttlOf(session) > 0)
      operations.push({ type: 'put', key: renewalPrefix + session.ID, value: nothing, at: 0 })
    const revision = await server.engine.write(operations)
    if (revision === undefined) throw new ConsulError(500, 'A session of this id exists')
    await itemsVisible(revision)
  }

  /** Its TTL begins anew. `undefined`: there is no such session. */
  renew(id: string): Promise<{ readonly item: Item; readonly session: Session } | undefined> {
    const name = sessionPrefix + id
    return attempt(this.#context, () => {
      const found = this.get(id)
      const at = this.#items.get(name)?.modifiedRevision ?? 0
      const operations: WriteOperation[] = [{ type: 'check', key: name, at }]
      if (found !== undefined && ttlOf(found.session) > 0)
        operations.push({ type: 'put', key: renewalPrefix + id, value: nothing })
      return { operations, result: () => found }
    })
  }

  /** Ends a session, if there is one, and resolves once its locks are released. */
  async end(id: string): Promise<void> {
    const name = sessionPrefix + id
    await attempt(this.#context, () => {
      const item = this.#items.get(name)
      const session = liveSession(item)
      const at = item?.modifiedRevision ?? 0
      const operation: WriteOperation =
        session === undefined
          ? { type: 'check', key: name, at }
          : { type: 'put', key: name, value: encodeEnded(session), at }
      return { operations: [operation], result: () => undefined }
    })
    await this.#finish(id)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#ledger.stop()
    for (const timer of this.#timers) timer.cancel()
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]()
  }

  #update({ revision, changes }: ItemsUpdate): void {
    const { topics } = this.#context
    const changed: string[] = []
    for (const change of changes) {
      const name = change.type === 'put' ? change.item.key : change.key
      if (change.type === 'put') this.#saw(change.item)
      else this.#drop(name)
      if (!name.startsWith(sessionPrefix)) continue
      const id = name.slice(sessionPrefix.length)
      changed.push(id)
      if (change.type === 'delete' || endedSession(change.item)) this.#graveyard.add(id, revision)
    }
    if (changed.length === 0) return
    for (const id of changed) topics.wake(sessionTopic(id))
    topics.wake(sessionsTopic)
    // A node or a check may have gone while the session was being created.
    this.#doubt(changed)
  }

  #saw(item: Item): void {
    const { key: name, value } = item
    if (name.startsWith(renewalPrefix)) {
      const id = name.slice(renewalPrefix.length)
      const session = this.get(id)?.session
      if (session !== undefined) this.#start(item, ttlOf(session), (deadline) => this.#expire(id, deadline))
    } else if (name.startsWith(lockDelayPrefix)) {
      const ms = Number(Buffer.from(value).toString())
      const ttl = Number.isFinite(ms) ? Math.min(ms, longestLockDelay) : 0
      this.#start(item, ttl, async ({ revision }) => {
        await this.#context.server.engine.write([{ type: 'delete', key: name, at: revision }])
      })
    } else if (name.startsWith(sessionPrefix)) {
      const id = name.slice(sessionPrefix.length)
      const session = liveSession(item)
      if (session !== undefined && hasOtherChecks(session)) this.#checked.add(id)
      else this.#checked.delete(id)
      if (endedSession(item)) this.#later(unfinished, () => this.#finish(id))
    }
  }

  #start(
    { key: name, modifiedRevision }: Item,
    ttl: number,
    over: (deadline: Deadline) => Promise<void>,
  ): void {
    const known = this.#deadlines.get(name)
    if (known !== undefined && known.ttl === ttl) {
      known.revision = modifiedRevision
      this.#ledger.renew(known)
      return
    }
    if (known !== undefined) this.#ledger.remove(known)
    const deadline: Deadline = {
      name,
      ttl,
      revision: modifiedRevision,
      deadline: 0,
      slot: undefined,
      over: () => over(deadline),
    }
    this.#deadlines.set(name, deadline)
    this.#ledger.add(deadline)
  }

  #drop(name: string): void {
    if (name.startsWith(sessionPrefix)) {
      const id = name.slice(sessionPrefix.length)
      this.#checked.delete(id)
      this.#away.delete(id)
    }
    const deadline = this.#deadlines.get(name)
    if (deadline === undefined) return
    this.#deadlines.delete(name)
    this.#ledger.remove(deadline)
  }

  /** The compare of what it writes fails if it was renewed: then nothing is over. */
  #over(deadline: Deadline): void {
    this.#work(
      () => deadline.over(),
      () => {
        if (this.#deadlines.get(deadline.name) === deadline) this.#ledger.putBack(deadline)
      },
    )
  }

  async #expire(id: string, { name, revision }: Deadline): Promise<void> {
    const found = this.get(id)
    if (found === undefined) return
    const { item, session } = found
    const { server, itemsVisible } = this.#context
    const written = await server.engine.write([
      { type: 'check', key: name, at: revision },
      { type: 'put', key: item.key, value: encodeEnded(session), at: item.modifiedRevision },
    ])
    if (written === undefined) return
    await itemsVisible(written)
    await this.#finish(id)
  }

  /** Releases what a session that is over still holds, and removes it. */
  async #finish(id: string): Promise<void> {
    while (!(await attempt(this.#context, () => release(this.#options, id))));
  }

  /** Looks at them once for all changes of one turn of the event loop. */
  #doubt(ids: Iterable<string>): void {
    if (!this.#begun || this.#closed) return
    const waiting = this.#doubtful.size > 0
    for (const id of ids) this.#doubtful.add(id)
    if (waiting || this.#doubtful.size === 0) return
    setImmediate(() => {
      const doubtful = this.#doubtful
      this.#doubtful = new Set()
      if (!this.#closed) for (const id of doubtful) this.#examine(id)
    })
  }

  /** Ends the session if its node or one of its checks is gone, or critical. */
  #examine(id: string): void {
    const { view } = this.#context
    const session = this.get(id)?.session
    if (session === undefined) return
    const node = view.nodes.find(session.Node)
    if (node === undefined && isAtServer(session)) this.#wait(id)
    else {
      this.#away.delete(id)
      if (node === undefined || checksGone(view, node, session).length > 0) this.#endSoon(id)
    }
  }

  #wait(id: string): void {
    const since = this.#away.get(id)
    const now = this.#clock.now()
    if (since === undefined) {
      this.#away.set(id, now)
      this.#later(serverAway, async () => this.#doubt([id]))
    } else if (now - since >= serverAway) {
      this.#away.delete(id)
      this.#endSoon(id)
    }
  }

  #endSoon(id: string): void {
    this.#work(
      () => this.end(id),
      () => this.#doubt([id]),
    )
  }

  #later(delay: number, task: () => Promise<void>): void {
    if (this.#closed) return
    const timer = this.#clock.after(delay, () => {
      this.#timers.delete(timer)
      this.#work(task, () => this.#later(unfinished, task))
    })
    this.#timers.add(timer)
  }

  /** What fails is tried again after a while: the engine may be away. What is not done when this closes is done later. */
  #work(task: () => Promise<void>, again: () => void): void {
    task().catch((error: unknown) => {
      if (this.#closed) return
      this.#context.server.log.warn(
        { err: error },
        'a session could not be ended, or a lock not be released, now: it is tried again',
      )
      const timer = this.#clock.after(unfinished, () => {
        this.#timers.delete(timer)
        again()
      })
      this.#timers.add(timer)
    })
  }
}

const nothing = new Uint8Array()

/** Milliseconds; 0: it stays. */
function ttlOf({ TTL }: Session): number {
  return goDuration(TTL) ?? 0
}
