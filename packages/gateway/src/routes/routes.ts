import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import {
  type Catalog,
  type Clock,
  displayName,
  type Entry,
  type Notify,
  SeamarkError,
  type Snapshot,
  select,
  systemClock,
  type Timer,
} from '@seamark/core'
import type { AccessSetting } from '../access/access-setting.ts'
import type { Routes, RouteTable, Rule } from '../ports.ts'
import { RegistryRoutes, type SkippedRoute } from './registry-routes.ts'
import { type Candidate, type RankedTable, routeTable } from './route-table.ts'
import { noRoutesFile, type RoutesFile, routesFile } from './routes-file.ts'
import { isSameList } from './service-routes.ts'
import { speaksHttp, statementKey, statements } from './statement.ts'
import { WatchedFile } from './watched-file.ts'

export interface RoutesOptions {
  /** Of all services. It is not disposed of with the routes. */
  readonly catalog: Catalog
  /** Default the system's. */
  readonly clock?: Clock
  /** Hears of `route_conflict`, `route_skipped`, `routes_file_read`, `routes_file_wrong`. Default: nobody is told. */
  readonly notify?: Notify
  /** A file of further routes, which is read again when it changes. Default none. */
  readonly file?: string
}

/** The routes of a registry and of a file. */
export interface GatewayRoutes extends Routes {
  readonly table: RouteTable
  /** What the file says of access. Whoever subscribes is told when it changes, too. */
  readonly access: AccessSetting | undefined
  /** What instances say of their routes, and is none. */
  readonly skipped: readonly SkippedRoute[]
}

/**
 * Milliseconds between two tables, for each rule in them: making one takes about 1 µs a rule, and requests are to have the other
 * nine tenths of the time, at the least.
 */
const pausePerRule = 0.02
/** Shorter pauses are none. */
const leastPause = 5

/**
 * The routes that instances say, as a catalog tells of them, and those of a file. Throws `configuration` for a file that cannot be
 * read or is wrong; when it gets wrong later, what it said before stays, and somebody is told.
 */
export async function routes(options: RoutesOptions): Promise<GatewayRoutes> {
  const { file } = options
  const live = new LiveRoutes(options)
  if (file !== undefined) live.follow(file, await textOf(file))
  live.begin()
  return live
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file' : message
    throw new SeamarkError('configuration', `The routes file ${file} cannot be read: ${why}.`, { cause })
  }
}

interface Narrowed {
  readonly of: Snapshot
  readonly to: Snapshot
}

class LiveRoutes implements GatewayRoutes {
  readonly #catalog: Catalog
  readonly #clock: Clock
  readonly #notify: Notify
  readonly #registry: RegistryRoutes
  readonly #listeners = new Set<(table: RouteTable) => void>()
  /** Rules of files, of now and before. */
  readonly #filed = new WeakSet<Rule>()
  readonly #narrowed = new WeakMap<Rule, Narrowed>()
  #file: WatchedFile | undefined
  #content: RoutesFile = noRoutesFile
  #table: RankedTable = routeTable([])
  /** When the next table may be made, on the clock. */
  #due = 0
  #making: Timer | undefined
  /** What was told and lasts: nobody is told twice. */
  #told: ReadonlySet<string> = new Set()

  constructor({ catalog, clock = systemClock, notify = () => {} }: RoutesOptions) {
    this.#catalog = catalog
    this.#clock = clock
    this.#notify = notify
    this.#registry = new RegistryRoutes({
      catalog,
      clock,
      isContested: (rule) => this.#table.isContested(rule),
      changed: () => this.#changed(),
    })
  }

  begin(): void {
    this.#registry.begin()
  }

  follow(file: string, text: string): void {
    this.#take(routesFile(file, text))
    this.#file = new WatchedFile(file, text, {
      clock: this.#clock,
      changed: (text) => this.#read(file, text),
      lost: (error) => this.#keep(`The routes file ${file} cannot be read any more: ${error.message}`, error),
    })
  }

  get table(): RouteTable {
    return this.#table
  }

  get access(): AccessSetting | undefined {
    return this.#content.access
  }

  get skipped(): readonly SkippedRoute[] {
    return [...this.#registry.skipped()]
  }

  snapshot(rule: Rule): Snapshot {
    const of = this.#catalog.snapshot(rule.service)
    const before = this.#narrowed.get(rule)
    if (before?.of === of) return before.to
    const entries = this.#entries(rule, of)
    let to: Snapshot
    if (entries.length === of.entries.length) to = of
    else if (before !== undefined && isSameList(entries, before.to.entries)) to = before.to
    else to = Object.freeze({ ...of, entries: Object.freeze(entries) })
    this.#narrowed.set(rule, { of, to })
    return to
  }

  subscribe(listener: (table: RouteTable) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear()
    this.#registry[Symbol.dispose]()
    this.#making?.cancel()
    await this.#file?.[Symbol.asyncDispose]()
  }

  /** Those that say the rule's route; or, for one of the file, those that its filter lets through. */
  #entries(rule: Rule, { entries }: Snapshot): readonly Entry[] {
    if (this.#filed.has(rule)) {
      const fit = rule.filter === undefined ? entries : select(entries, rule.filter)
      return fit.filter(({ instance }) => speaksHttp(instance))
    }
    const key = statementKey(rule.route)
    return entries.filter(({ instance }) => statements(instance).routes.some((one) => one.key === key))
  }

  #read(file: string, text: string): void {
    let content: RoutesFile
    try {
      content = routesFile(file, text)
    } catch (error) {
      this.#keep((error as Error).message, error)
      return
    }
    this.#take(content)
    this.#notify({
      level: 'info',
      event: 'routes_file_read',
      message: `The routes file ${file} was read again: it has ${content.rules.length} routes.`,
      details: { file, routes: content.rules.length },
    })
  }

  #keep(what: string, error: unknown): void {
    this.#notify({
      level: 'error',
      event: 'routes_file_wrong',
      message: `${what}\nWhat it said before stays in force.`,
      details: { error },
    })
  }

  /** What is the same as before stays the same object. */
  #take({ rules, policies, access }: RoutesFile): void {
    const before = this.#content
    const known = new Map(before.rules.map((rule) => [JSON.stringify(rule), rule]))
    this.#content = {
      rules: rules.map((rule) => known.get(JSON.stringify(rule)) ?? rule),
      policies: new Map([...policies].map(([id, policy]) => [id, same(before.policies.get(id), policy)])),
      access: same(before.access, access),
    }
    for (const rule of this.#content.rules) this.#filed.add(rule)
    this.#registry.protect(this.#content.policies)
    this.#make()
  }

  #changed(): void {
    if (this.#making !== undefined) return
    const wait = this.#due - this.#clock.now()
    if (wait <= 0) this.#make()
    else this.#making = this.#clock.after(wait, () => this.#make())
  }

  #make(): void {
    this.#making?.cancel()
    this.#making = undefined
    const candidates = [...this.#candidates()]
    const pause = candidates.length * pausePerRule
    this.#table = routeTable(candidates, this.#table)
    this.#due = pause < leastPause ? 0 : this.#clock.now() + pause
    this.#tell()
    for (const listener of this.#listeners)
      try {
        listener(this.#table)
      } catch (error) {
        this.#notify({
          level: 'error',
          event: 'listener_failed',
          message: 'A listener of the route table threw; the others were told.',
          details: { error },
        })
      }
  }

  *#candidates(): Generator<Candidate> {
    for (const [age, rule] of this.#content.rules.entries()) yield { rule, source: 'file', age }
    yield* this.#registry.candidates()
  }

  #tell(): void {
    const told = new Set<string>()
    const once = (event: string, message: string, details: Record<string, unknown>) => {
      told.add(message)
      if (!this.#told.has(message)) this.#notify({ level: 'warn', event, message, details })
    }
    for (const { rule, winner } of this.#table.conflicts)
      once(
        'route_conflict',
        `The route ${rule.name} (${rule.origin}) is not in force: ${winner.name} (${winner.origin}) is for the same requests, and comes first.`,
        { rule: rule.name, winner: winner.name },
      )
    for (const { service, statement, problem } of this.#registry.skipped())
      once(
        'route_skipped',
        `${displayName(service)} says a route that is left out, ${statement}: ${problem}.`,
        {
          ...service,
          statement,
        },
      )
    this.#told = told
  }
}

function same<T>(before: T | undefined, now: T): T {
  return isDeepStrictEqual(before, now) ? (before as T) : now
}
