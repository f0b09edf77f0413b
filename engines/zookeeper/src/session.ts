import type { Socket } from 'node:net'
import { type Clock, isSeamarkError, SeamarkError, type Timer } from '@seamark/core'
import zookeeper from 'node-zookeeper-client'
import type { Location, ServerAddress } from './location.ts'

/** What ZooKeeper knows of a node. */
export interface Stat {
  /** The transaction that made it. */
  readonly created: number
  /** The transaction that last wrote its data. */
  readonly modified: number
  /** Milliseconds since 1970 of that, by the clock of ZooKeeper's leader. */
  readonly time: number
  readonly version: number
  readonly ephemeral: boolean
  readonly children: number
}

export interface Node {
  readonly data: Buffer
  readonly stat: Stat
}

/** A step of a transaction. Without a version, any will do. */
export type Operation =
  | { readonly type: 'create'; readonly path: string; readonly data: Buffer; readonly shared?: boolean }
  | { readonly type: 'set'; readonly path: string; readonly data: Buffer; readonly version?: number }
  | { readonly type: 'remove' | 'check'; readonly path: string; readonly version?: number }

export interface Committed {
  /** The transaction's own zxid. */
  readonly revision: number
  /** Of each operation that was a `set`. */
  readonly stats: readonly (Stat | undefined)[]
}

/** A transaction that did nothing, because the nodes were not as its operations expect. */
export class Conflict extends Error {
  override readonly name = 'Conflict'
  /** Which operation. */
  readonly at: number
  readonly reason: 'missing' | 'exists' | 'changed'

  constructor(at: number, reason: 'missing' | 'exists' | 'changed', cause: unknown) {
    super(`Operation ${at} of the transaction: ${reason}`, { cause })
    this.at = at
    this.reason = reason
  }
}

/** Milliseconds that ZooKeeper may take for an answer, and to be connected with. */
export const patience = 5_000
/** Milliseconds after which ZooKeeper forgets a session that it hears nothing of. */
const sessionTimeout = 15_000
/** Milliseconds of silence after which we ask whether ZooKeeper is still there. */
const heartbeat = 5_000

/** What is used of the driver beyond its documented face, since that does not have it. */
interface Internals {
  state: number
  socket?: Socket
  servers: readonly ServerAddress[]
  /** Of the last answer. */
  readonly zxid: Buffer
  readonly connectTimeoutHandler: NodeJS.Timeout | null
  connect(): void
  onSocketData(data: Buffer): void
  on(event: 'state', listener: (state: number) => void): void
}
/** The driver's `STATES`. What closes while it is "closing" is not opened anew. */
const states = { disconnected: 0, connected: 2, closing: -1 }

const conflicts: Readonly<Record<number, Conflict['reason']>> = {
  [zookeeper.Exception.NO_NODE]: 'missing',
  [zookeeper.Exception.NODE_EXISTS]: 'exists',
  [zookeeper.Exception.BAD_VERSION]: 'changed',
  [zookeeper.Exception.NOT_EMPTY]: 'changed',
}

interface Asked {
  readonly since: number
  reject(error: Error): void
}

export interface SessionOptions {
  readonly clock: Clock
  readonly server: ServerAddress
  readonly credentials: Location['credentials']
}

/**
 * One session with one server, over one connection; it ends with that, or as soon as an answer takes too long. All that is
 * known of the driver is in this file, so that it can be replaced. What the driver lacks, and is made up for here:
 *
 * - a version of 0 in a transaction (it takes that for "any");
 * - an end: it says nothing of a connection that cannot be made, connects again for ever, also while it is being closed, and waits for ever for an answer;
 * - a guard: an answer that it does not know throws where nobody can catch it;
 * - the zxid of an answer, and addresses of IPv6.
 *
 * Nothing of ours is bound to a session, so that a new one costs no more than reading again.
 */
export class Session {
  readonly #client: zookeeper.Client
  readonly #internals: Internals
  readonly #clock: Clock
  readonly #acl: { readonly own: zookeeper.ACL[]; readonly shared: zookeeper.ACL[] }
  readonly #lost = new AbortController()
  readonly #asked = new Set<Asked>()
  readonly #making = new Map<string, Promise<void>>()
  readonly #listeners = new Map<string, Set<(path: string) => void>>()
  /** One function for all watches: the driver keeps a function once for each path. */
  readonly #notify = ({ path }: zookeeper.Event) => this.#tell(path)
  #timer: Timer | undefined
  #heard: number

  private constructor({ clock, server, credentials }: SessionOptions) {
    this.#clock = clock
    this.#heard = clock.now()
    this.#client = zookeeper.createClient('replaced:1', { sessionTimeout, spinDelay: 0, retries: 0 })
    this.#internals = (this.#client as unknown as { connectionManager: Internals }).connectionManager
    this.#internals.servers = [server]
    const { ACL } = zookeeper as unknown as { ACL: Record<string, zookeeper.ACL[]> }
    if (credentials === undefined) this.#acl = { own: ACL.OPEN_ACL_UNSAFE!, shared: ACL.OPEN_ACL_UNSAFE! }
    else {
      const { user, password } = credentials
      this.#client.addAuthInfo('digest', Buffer.from(`${user}:${password}`))
      this.#acl = {
        own: ACL.CREATOR_ALL_ACL!,
        shared: [...ACL.CREATOR_ALL_ACL!, ...ACL.READ_ACL_UNSAFE!],
      }
    }
    const take = this.#internals.onSocketData
    this.#internals.onSocketData = (data) => {
      if (this.#lost.signal.aborted) return
      try {
        take.call(this.#internals, data)
      } catch (cause) {
        this.#end(cause)
      }
    }
  }

  /** Opens a session. Throws `engine_unavailable`. */
  static async open(options: SessionOptions, signal: AbortSignal): Promise<Session> {
    const session = new Session(options)
    await session.#connect(signal)
    return session
  }

  /** Aborts when the session is over. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Everything that watches tell of transactions up to this one has been told. */
  get zxid(): number {
    return number(this.#internals.zxid)
  }

  /** Calls back whenever a watch that was set on that path says something. */
  listen(path: string, listener: (path: string) => void): void {
    const listeners = this.#listeners.get(path)
    if (listeners === undefined) this.#listeners.set(path, new Set([listener]))
    else listeners.add(listener)
  }

  unlisten(path: string, listener: (path: string) => void): void {
    const listeners = this.#listeners.get(path)
    if (listeners?.delete(listener) && listeners.size === 0) this.#listeners.delete(path)
  }

  /** A node, or `undefined`, and then nothing is watched. */
  read(path: string, watched = false): Promise<Node | undefined> {
    return this.#ask<Node | undefined>((resolve, reject) => {
      const done = (error: unknown, data?: Buffer, stat?: zookeeper.Stat) => {
        if (is(error, 'missing')) resolve(undefined)
        else if (error) reject(error)
        else resolve({ data: data ?? Buffer.alloc(0), stat: statOf(stat!) })
      }
      if (watched) this.#client.getData(path, this.#notify, done)
      else this.#client.getData(path, done)
    })
  }

  /** The names of a node's children, or `undefined` without that node, and then nothing is watched. */
  children(path: string, watched = false): Promise<readonly string[] | undefined> {
    return this.#ask<readonly string[] | undefined>((resolve, reject) => {
      const done = (error: unknown, children?: string[]) => {
        if (is(error, 'missing')) resolve(undefined)
        else if (error) reject(error)
        else resolve(children)
      }
      if (watched) this.#client.getChildren(path, this.#notify, done)
      else this.#client.getChildren(path, done)
    })
  }

  /** Watches the node itself, also one that is not there. */
  stat(path: string, watched = false): Promise<Stat | undefined> {
    return this.#ask<Stat | undefined>((resolve, reject) => {
      const done = (error: unknown, stat?: zookeeper.Stat) => {
        if (error) reject(error)
        else resolve(stat ? statOf(stat) : undefined)
      }
      if (watched) this.#client.exists(path, this.#notify, done)
      else this.#client.exists(path, done)
    })
  }

  /** All or nothing. `wrote` is told before any watch can tell of what came later. Throws `Conflict`. */
  commit(operations: readonly Operation[], wrote?: (revision: number) => void): Promise<Committed> {
    return this.#ask<Committed>((resolve, reject) => {
      const transaction = this.#client.transaction()
      const { ops } = transaction as unknown as { ops: { version?: number }[] }
      for (const operation of operations) {
        const { type, path } = operation
        if (type === 'create')
          transaction.create(path, operation.data, this.#acl[operation.shared ? 'shared' : 'own'])
        else {
          if (type === 'set') transaction.setData(path, operation.data)
          else transaction[type](path)
          ops.at(-1)!.version = operation.version ?? -1
        }
      }
      transaction.commit((error, results?: readonly { err?: number; stat?: zookeeper.Stat }[]) => {
        if (error) return reject(conflict(error, results))
        const revision = this.zxid
        wrote?.(revision)
        const stats = results!.map(({ stat }) => (stat === undefined ? undefined : statOf(stat)))
        resolve({ revision, stats })
      })
    })
  }

  /**
   * A server may be behind its leader: what is read after this was not replaced before it. (ZooKeeper's own "sync" is
   * not among what the driver can ask for; a transaction that changes nothing does the same.) Answers the zxid.
   */
  async sync(): Promise<number> {
    const { revision } = await this.commit([{ type: 'check', path: '/' }])
    return revision
  }

  /** Makes a node and all above it; what is there already stays. Many who ask for the same at once make it once. */
  make(path: string, shared: boolean): Promise<void> {
    let making = this.#making.get(path)
    if (making === undefined) {
      making = this.#make(path, shared).finally(() => this.#making.delete(path))
      this.#making.set(path, making)
    }
    return making
  }

  async #make(path: string, shared: boolean): Promise<void> {
    for (;;)
      try {
        await this.commit([{ type: 'create', path, data: Buffer.alloc(0), shared }])
        return
      } catch (error) {
        if (!(error instanceof Conflict)) throw error
        if (error.reason === 'exists') return
        const above = path.slice(0, path.lastIndexOf('/'))
        if (above === '') throw unavailable(`ZooKeeper has no node above "${path}"`, error)
        await this.make(above, shared)
      }
  }

  /** Says goodbye, so that ZooKeeper forgets the session at once. */
  close(): void {
    if (this.#lost.signal.aborted) return
    const { socket } = this.#internals
    this.#client.close()
    this.#end(undefined, () => socket?.destroySoon())
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = withResolvers()
    this.#lost.signal.addEventListener('abort', () => reject(this.#lost.signal.reason))
    const give = () =>
      this.#end(signal.aborted ? signal.reason : new Error(`no session after ${patience} ms`))
    signal.addEventListener('abort', give, { once: true })
    const timer = this.#clock.after(patience, give)
    this.#internals.on('state', (state) => {
      if (state === states.connected) resolve()
      else if (state === states.disconnected) this.#end(undefined)
    })
    this.#client.connect()
    this.#internals.connect = () => undefined
    try {
      await promise
    } finally {
      timer.cancel()
      signal.removeEventListener('abort', give)
    }
    this.#watchdog()
  }

  #tell(path: string): void {
    for (const listener of this.#listeners.get(path) ?? []) listener(path)
  }

  #ask<T>(start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#lost.signal.aborted) return reject(this.#lost.signal.reason)
      const asked: Asked = { since: this.#clock.now(), reject }
      this.#asked.add(asked)
      const settle = () => {
        this.#asked.delete(asked)
        this.#heard = this.#clock.now()
      }
      try {
        start(
          (value) => {
            settle()
            resolve(value)
          },
          (error) => {
            settle()
            reject(
              error instanceof Conflict || isSeamarkError(error)
                ? error
                : unavailable('ZooKeeper did not do it', error),
            )
          },
        )
      } catch (cause) {
        // The driver's assertions: of a path or of a size.
        settle()
        reject(unavailable('ZooKeeper cannot be asked for it', cause))
      }
    })
  }

  /** Answers come in the order of the questions: the oldest one tells. */
  #watchdog(): void {
    this.#timer = this.#clock.after(patience / 5, () => {
      const now = this.#clock.now()
      const [oldest] = this.#asked
      if (oldest !== undefined && now - oldest.since > patience)
        return this.#end(new Error(`no answer for ${patience} ms`))
      if (oldest === undefined && now - this.#heard > heartbeat) this.stat('/').catch(() => undefined)
      this.#watchdog()
    })
  }

  #end(cause: unknown, disconnect = () => this.#disconnect()): void {
    if (this.#lost.signal.aborted) return
    this.#timer?.cancel()
    if (this.#internals.connectTimeoutHandler !== null) clearTimeout(this.#internals.connectTimeoutHandler)
    const error = unavailable('The connection with ZooKeeper was lost', cause)
    this.#lost.abort(error)
    for (const { reject } of this.#asked) reject(error)
    this.#asked.clear()
    this.#listeners.clear()
    disconnect()
  }

  #disconnect(): void {
    this.#internals.state = states.closing
    if (this.#internals.socket !== undefined) this.#internals.socket.destroy()
    // It has not begun yet, and will in this turn.
    else setImmediate(() => this.#internals.socket?.destroy())
  }
}

export function unavailable(message: string, cause?: unknown): SeamarkError {
  return new SeamarkError('engine_unavailable', `${message}.`, cause === undefined ? {} : { cause })
}

function withResolvers(): { promise: Promise<void>; resolve(): void; reject(error: unknown): void } {
  let resolve!: () => void
  let reject!: (error: unknown) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

function is(error: unknown, reason: Conflict['reason']): boolean {
  return conflicts[(error as { code?: number } | undefined)?.code ?? 0] === reason
}

function conflict(error: unknown, results: readonly { err?: number }[] | undefined): unknown {
  const at = results?.findIndex(({ err }) => err !== undefined && err !== 0) ?? -1
  const reason = conflicts[results?.[at]?.err ?? 0]
  return reason === undefined ? error : new Conflict(at, reason, error)
}

function statOf({ czxid, mzxid, mtime, version, ephemeralOwner, numChildren }: zookeeper.Stat): Stat {
  return {
    created: number(czxid),
    modified: number(mzxid),
    time: number(mtime),
    version,
    ephemeral: isSession(ephemeralOwner),
    children: numChildren,
  }
}

/** Epochs stay below 2^21 for longer than any cluster lives: a safe integer. */
function number(long: Buffer): number {
  return Number(long.readBigInt64BE())
}

/** ZooKeeper marks containers (the sign) and nodes with a TTL (0xff) in the same field. */
function isSession(owner: Buffer): boolean {
  return !owner.equals(Buffer.alloc(8)) && owner[0] !== 0x80 && owner[0] !== 0xff
}
