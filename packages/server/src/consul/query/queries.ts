import type { Entry, Item, Items, ItemsUpdate, WriteOperation } from '@seamark/core'
import { ConsulError } from '../answer.ts'
import type { ConsulContext } from '../context.ts'
import { quote } from '../filter/quote.ts'
import { goDuration } from '../go-duration.ts'
import { attempt } from '../kv/attempt.ts'
import { sessionPrefix } from '../kv/draft.ts'
import { Graveyard } from '../kv/graveyard.ts'
import { indexAt } from '../kv/index-at.ts'
import { uuidProblem } from '../kv/verbs.ts'
import type { ConsulService } from '../service.ts'
import { liveSession } from '../session/session-item.ts'
import type { Definition, ServiceQuery } from './definition.ts'
import { isTemplate, type Template, template } from './template.ts'

const queryPrefix = 'consul/query/'
/** Whose name it is: two queries cannot have one. */
const namePrefix = 'consul/query-name/'
/** Whose turn it is when no other template fits: only one can have the empty name. */
const namelessKey = 'consul/query-nameless'

/** Bytes of UTF-8. */
const longestName = 500

/** What a request waits for that lists queries. */
export const queriesTopic = 'queries'

/** What a request waits for that asks for this query. */
export function queryTopic(id: string): string {
  return `query/${id}`
}

/** A query that is kept. */
export interface Query {
  readonly item: Item
  readonly definition: Definition
  readonly template: Template | undefined
}

/** What a query found, for those who answer in other ways than HTTP. */
export interface QueryAnswer {
  readonly entries: readonly Entry[]
  /** Milliseconds, where the query says so. */
  readonly ttl: number | undefined
}

/** Prepared queries: questions that are kept, and asked by their name. */
export class Queries implements Disposable {
  readonly #context: ConsulContext
  readonly #items: Items
  readonly #graveyard = new Graveyard()
  readonly #listening: Disposable
  readonly #decoded = new WeakMap<Item, Query | undefined>()
  /** Put together anew when somebody asks after a change. */
  #byName: ReadonlyMap<string, Query> | undefined
  #generation = 1

  constructor(context: ConsulContext) {
    const { items } = context
    this.#context = context
    this.#items = items
    this.#listening = items.subscribe((update) => this.#update(update))
    items.warm().then(
      () => this.#graveyard.raise(items.revision),
      () => {}, // Closed before it was warm.
    )
  }

  /** Another number after each change of any query. */
  get generation(): number {
    return this.#generation
  }

  get(id: string): Query | undefined {
    const item = this.#items.get(queryPrefix + id)
    return item && this.#decode(item)
  }

  /** In the order of their ids. */
  list(): readonly Query[] {
    return this.#items.list(queryPrefix).flatMap((item) => this.#decode(item) ?? [])
  }

  /** From which on a change of any query is news. */
  get index(): number {
    let highest = 0
    for (const { item } of this.list()) highest = Math.max(highest, item.modifiedRevision)
    return indexAt(this.#graveyard.under('', highest))
  }

  /** From which on a change of this query is news. */
  indexOf(id: string): number {
    return indexAt(this.get(id)?.item.modifiedRevision ?? this.#graveyard.of(id))
  }

  /**
   * The query of this id or name, its template rendered; a name is found in any case, a template by the longest prefix.
   * `undefined`: there is none. Throws what Consul says when a template is asked for by its id.
   */
  resolve(idOrName: string): { readonly query: Query; readonly definition: Definition } | undefined {
    const query = this.get(idOrName.toLowerCase())
    if (query === undefined) return this.#named(idOrName)
    if (query.template !== undefined)
      throw new ConsulError(500, 'prepared query templates can only be resolved up by name, not by ID')
    return { query, definition: query.definition }
  }

  /** Services that fit, in no certain order. */
  execute({ Service: asked }: Definition): readonly ConsulService[] {
    const { view } = this.#context
    const key = { namespace: 'default', service: asked.Service }
    const services = asked.Connect ? view.connect('default', asked.Service).value : view.service(key).services
    return shuffled(services.filter((service) => fits(service, asked)))
  }

  /** Executes a query by its id or name. `undefined`: there is none. */
  answer(idOrName: string): QueryAnswer | undefined {
    const found = this.#found(idOrName)
    if (found === undefined) return undefined
    const { DNS } = found
    const entries = this.execute(found).flatMap(({ entry }) => entry ?? [])
    return { entries, ttl: DNS.TTL === '' ? undefined : goDuration(DNS.TTL) }
  }

  /** Keeps a query. Throws what Consul says when its name is taken, or its session none. */
  create(definition: Definition): Promise<void> {
    return this.#write(definition, undefined)
  }

  /** Throws what Consul says when there is no such query. */
  update(definition: Definition): Promise<void> {
    return this.#write(definition, definition.ID)
  }

  /** Throws what Consul says when there is no such query. */
  remove(id: string): Promise<void> {
    return attempt(this.#context, () => ({
      operations: removal(this.#existing(id)),
      result: () => undefined,
    }))
  }

  /** Throws what Consul says when there is no such query. */
  require(id: string): void {
    this.#existing(id)
  }

  /** What is to be removed with a session: each query in one piece. */
  removals(session: string): readonly (readonly WriteOperation[])[] {
    return this.list()
      .filter(({ definition }) => definition.Session === session)
      .map(removal)
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]()
  }

  #found(idOrName: string): Definition | undefined {
    try {
      return this.resolve(idOrName)?.definition
    } catch (error) {
      if (error instanceof ConsulError) return undefined
      throw error
    }
  }

  #write(definition: Definition, id: string | undefined): Promise<void> {
    checkName(definition.Name)
    return attempt(this.#context, () => {
      const before = id === undefined ? undefined : this.#existing(id)
      return { operations: this.#operations(definition, before), result: () => undefined }
    })
  }

  #operations(definition: Definition, before: Query | undefined): WriteOperation[] {
    const { ID, Name, Session } = definition
    const value = Buffer.from(JSON.stringify(definition))
    const at = before?.item.modifiedRevision ?? 0
    const operations: WriteOperation[] = [{ type: 'put', key: queryPrefix + ID, value, at }]
    const [former, name] = [before && nameKey(before.definition), nameKey(definition)]
    if (former !== undefined && former !== name) operations.push({ type: 'delete', key: former })
    if (name !== undefined) {
      const owner = this.#items.get(name)
      if (owner !== undefined && former !== name) throw new ConsulError(500, taken(Name))
      operations.push({ type: 'put', key: name, value: Buffer.from(ID), at: owner?.modifiedRevision ?? 0 })
    }
    if (Name !== '' && this.get(Name.toLowerCase()) !== undefined)
      throw new ConsulError(500, `name '${Name}' aliases an existing query ID`)
    if (Session !== '') operations.push(this.#sessionCheck(Session))
    // Throws what is wrong with it.
    if (isTemplate(definition)) template(definition)
    return operations
  }

  #sessionCheck(session: string): WriteOperation {
    const problem = uuidProblem(session)
    if (problem !== undefined) throw new ConsulError(500, `invalid session: index error: ${problem}`)
    const item = this.#items.get(sessionPrefix + session)
    if (liveSession(item) === undefined) throw new ConsulError(500, `invalid session ${quote(session)}`)
    return { type: 'check', key: sessionPrefix + session, at: item!.modifiedRevision }
  }

  #existing(id: string): Query {
    const problem = uuidProblem(id)
    if (problem !== undefined)
      throw new ConsulError(
        500,
        `Prepared Query lookup failed: failed prepared query lookup: index error: ${problem}`,
      )
    const query = this.get(id)
    if (query === undefined) throw new ConsulError(500, `Cannot modify non-existent prepared query: '${id}'`)
    return query
  }

  #named(name: string): { readonly query: Query; readonly definition: Definition } | undefined {
    if (name === '') return undefined
    const names = this.#names()
    const lower = name.toLowerCase()
    const exact = names.get(lower)
    if (exact !== undefined) return rendered(exact, name)
    for (let length = Math.min(lower.length, longestName); length >= 0; length--) {
      const query = names.get(lower.slice(0, length))
      if (query?.template !== undefined) return rendered(query, name)
    }
    return undefined
  }

  /** Queries by their names in lower case; the empty one is a template's. */
  #names(): ReadonlyMap<string, Query> {
    this.#byName ??= new Map(
      this.list()
        .filter(({ definition }) => definition.Name !== '' || isTemplate(definition))
        .map((query) => [query.definition.Name.toLowerCase(), query]),
    )
    return this.#byName
  }

  #update({ revision, changes }: ItemsUpdate): void {
    const changed: string[] = []
    for (const change of changes) {
      const key = change.type === 'put' ? change.item.key : change.key
      if (!key.startsWith(queryPrefix)) continue
      const id = key.slice(queryPrefix.length)
      changed.push(id)
      if (change.type === 'delete') this.#graveyard.add(id, revision)
    }
    if (changed.length === 0) return
    this.#byName = undefined
    this.#generation++
    for (const id of changed) this.#context.topics.wake(queryTopic(id))
    this.#context.topics.wake(queriesTopic)
  }

  #decode(item: Item): Query | undefined {
    if (!this.#decoded.has(item)) this.#decoded.set(item, decode(item))
    return this.#decoded.get(item)
  }
}

/** `undefined`: it is no query, but something else that somebody wrote there. */
function decode(item: Item): Query | undefined {
  try {
    const definition = JSON.parse(Buffer.from(item.value).toString()) as Definition
    return { item, definition, template: isTemplate(definition) ? template(definition) : undefined }
  } catch {
    return undefined
  }
}

function rendered(query: Query, name: string): { readonly query: Query; readonly definition: Definition } {
  return { query, definition: query.template?.render(name) ?? query.definition }
}

function removal({ item, definition }: Query): WriteOperation[] {
  const name = nameKey(definition)
  const operation: WriteOperation = { type: 'delete', key: item.key, at: item.modifiedRevision }
  return name === undefined ? [operation] : [operation, { type: 'delete', key: name }]
}

/** The item that says whose name it is; a query without a name and a template needs none. */
function nameKey(definition: Definition): string | undefined {
  if (definition.Name !== '') return namePrefix + definition.Name.toLowerCase()
  return isTemplate(definition) ? namelessKey : undefined
}

function taken(name: string): string {
  return name === ''
    ? 'a query template with an empty name already exists'
    : `name '${name}' aliases an existing query name`
}

function checkName(name: string): void {
  if (Buffer.byteLength(name) > longestName)
    throw new ConsulError(400, `A query's name may have at most ${longestName} bytes`)
}

function fits(service: ConsulService, asked: ServiceQuery): boolean {
  return (
    isHealthy(service, asked) &&
    hasAll(service.node.meta, asked.NodeMeta) &&
    hasAll(service.meta, asked.ServiceMeta) &&
    hasTags(service.tags, asked.Tags)
  )
}

function isHealthy({ node, checks }: ConsulService, { OnlyPassing, IgnoreCheckIDs }: ServiceQuery): boolean {
  const ignored = new Set(IgnoreCheckIDs)
  return [...node.checks, ...checks].every(
    ({ id, status }) => ignored.has(id) || (OnlyPassing ? status === 'passing' : status !== 'critical'),
  )
}

type Pairs = Readonly<Record<string, string>> | null

function hasAll(pairs: Pairs, wanted: Pairs): boolean {
  return Object.entries(wanted ?? {}).every(
    ([key, value]) => pairs !== null && Object.hasOwn(pairs, key) && pairs[key] === value,
  )
}

function hasTags(tags: readonly string[], wanted: ServiceQuery['Tags']): boolean {
  if (wanted === null || wanted.length === 0) return true
  const there = new Set(tags.map((tag) => tag.toLowerCase()))
  return wanted.every((tag) => {
    const name = tag.toLowerCase()
    return name.startsWith('!') ? !there.has(name.slice(1)) : there.has(name)
  })
}

function shuffled<T>(list: readonly T[]): T[] {
  const mixed = [...list]
  for (let at = mixed.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1))
    ;[mixed[at], mixed[other]] = [mixed[other]!, mixed[at]!]
  }
  return mixed
}
