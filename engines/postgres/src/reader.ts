import {
  type Batch,
  type Change,
  type Entry,
  type Holder,
  type InstanceKey,
  instanceId,
  type Revision,
  type ServiceKey,
} from '@seamark/core'
import type { Database, Row } from './database.ts'
import { holder, type Records } from './record.ts'

/** Rows fetched at once. */
const page = 5_000

/** Rows of changes that are followed; past that, listing anew is no more work. */
const followed = 10_000

/** Where a reader is in the history: the stamp tells it from another history with the same revisions. */
export interface Position {
  readonly revision: Revision
  readonly stamp: string
}

/** What was read, `B` being a batch. */
export interface Reading<B = Batch> {
  readonly position: Position
  readonly batch: B
}

/** Reads the registry, at one moment each time. */
export class Reader {
  readonly #database: Pick<Database, 'read' | 'reading'>
  readonly #records: Records
  readonly #schema: string

  constructor(schema: string, database: Pick<Database, 'read' | 'reading'>, records: Records) {
    this.#schema = schema
    this.#database = database
    this.#records = records
  }

  /** All there is of these services, or of all. */
  async list(services: readonly ServiceKey[] | undefined): Promise<Reading> {
    const schema = this.#schema
    const only = wanted(services, 1)
    const query = `SELECT ${columns('head', { revision: 'revision', stamp: 'stamp' })} FROM ${schema}.registry WHERE one
      UNION ALL SELECT ${columns('put', instanceColumns)} FROM ${schema}.instances ${only.where}
      UNION ALL SELECT ${columns('claim', claimColumns)} FROM ${schema}.claims ${only.where}`
    return this.#database.reading(async (session) => {
      await session.query(`DECLARE everything NO SCROLL CURSOR FOR ${query}`, only.values)
      const entries: Entry[] = []
      const holders: Holder[] = []
      let position: Position | undefined
      for (let rows: Row[] | undefined; rows === undefined || rows.length === page; ) {
        rows = await session.query(`FETCH ${page} FROM everything`)
        for (const row of rows)
          if (row.kind === 'head') position = { revision: row.revision, stamp: row.stamp }
          else if (row.kind === 'claim') holders.push(holder(row))
          else {
            const entry = this.#records.entry(row)
            if (entry !== undefined) entries.push(entry)
          }
      }
      const { revision } = position!
      return { position: position!, batch: { revision, changes: [{ type: 'reset', entries, holders }] } }
    })
  }

  /**
   * What changed of these services, or of all, since a position; `undefined` if that is not known any more. The batch
   * is empty if nothing did.
   */
  async follow(services: readonly ServiceKey[] | undefined, last: Position): Promise<Reading | undefined> {
    const schema = this.#schema
    const only = wanted(services, 3, 'AND')
    const head = { revision: 'revision', stamp: 'stamp', known: 'known' }
    const gone = { namespace: 'namespace', service: 'service', id: 'id', name: 'claim' }
    const since = (kind: string, named: Readonly<Record<string, string>>, table: string, revision: string) =>
      `(SELECT ${columns(kind, named)} FROM ${schema}.${table} WHERE ${revision} > $1 ${only.where} LIMIT ${followed})`
    const rows = await this.#database.read(
      `SELECT ${columns('head', head)} FROM (SELECT revision, stamp, EXISTS (
        SELECT FROM ${schema}.commits WHERE revision = $1 AND stamp = $2) AS known FROM ${schema}.registry WHERE one) AS head
      UNION ALL ${since('put', instanceColumns, 'instances', 'modified')}
      UNION ALL ${since('claim', claimColumns, 'claims', 'fence')}
      UNION ALL ${since('gone', gone, 'gone', 'revision')}`,
      [last.revision, last.stamp, ...only.values],
    )
    const at = rows.find(({ kind }) => kind === 'head')
    if (!at?.known || rows.length > followed) return undefined
    const position: Position = { revision: at.revision, stamp: at.stamp }
    return { position, batch: { revision: at.revision, changes: this.#changes(rows) } }
  }

  /** Who went comes first. A key that came back did not go, as far as anybody saw. */
  #changes(rows: readonly Row[]): Change[] {
    const there = new Set(rows.flatMap((row) => (row.kind === 'gone' ? [] : rowId(row))))
    const went = rows.filter((row) => row.kind === 'gone' && !there.has(rowId(row)))
    const changes: Change[] = []
    for (const { namespace, service, id, name } of went)
      if (id === null) changes.push({ type: 'release', claim: { namespace, service, name } })
    for (const { namespace, service, id } of went)
      if (id !== null) changes.push({ type: 'delete', key: { namespace, service, id } })
    for (const row of rows)
      if (row.kind === 'put') changes.push(this.#put(row))
      else if (row.kind === 'claim') changes.push({ type: 'claim', holder: holder(row) })
    return changes
  }

  /** What cannot be read is not there: nor is what was there before. */
  #put(row: Row): Change {
    const entry = this.#records.entry(row)
    if (entry !== undefined) return { type: 'put', entry }
    const { namespace, service, id } = row as InstanceKey
    return { type: 'delete', key: { namespace, service, id } }
  }
}

/** A string that no other instance or claim has. */
function rowId({ namespace, service, id, name }: Row): string {
  return name === null
    ? instanceId({ namespace, service, id })
    : `\0${instanceId({ namespace, service, id: name })}`
}

/** The columns of every row that is read, with their types. */
const all = {
  namespace: 'text COLLATE "C"',
  service: 'text COLLATE "C"',
  id: 'text COLLATE "C"',
  name: 'text COLLATE "C"',
  instance: 'text',
  health: 'text',
  created: 'bigint',
  modified: 'bigint',
  fence: 'bigint',
  revision: 'bigint',
  stamp: 'text',
  known: 'boolean',
} as const

const keyColumns = { namespace: 'namespace', service: 'service', id: 'id' }
const instanceColumns = {
  ...keyColumns,
  instance: 'instance',
  health: 'health',
  created: 'created',
  modified: 'modified',
}
const claimColumns = { ...keyColumns, name: 'name', fence: 'fence' }

/** Rows of different kinds in one answer: those columns that a kind has not are null. */
function columns(kind: string, named: Readonly<Record<string, string>>): string {
  const cells = Object.entries(all).map(([name, type]) => {
    const [base, collation = ''] = type.split(/(?= COLLATE)/)
    return `CAST(${named[name] ?? 'NULL'} AS ${base})${collation} AS ${name}`
  })
  return [`'${kind}' AS kind`, ...cells].join(', ')
}

/** A condition for the given services, with its parameters from number `first` on. */
function wanted(services: readonly ServiceKey[] | undefined, first: number, before = 'WHERE') {
  if (services === undefined) return { where: '', values: [] }
  return {
    where: `${before} (namespace, service) IN (SELECT * FROM unnest($${first}::text[], $${first + 1}::text[]))`,
    values: [services.map(({ namespace }) => namespace), services.map(({ service }) => service)],
  }
}
