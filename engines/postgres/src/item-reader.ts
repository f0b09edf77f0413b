import type { Item, ItemBatch, ItemChange } from '@seamark/core'
import type { Database, Row } from './database.ts'
import type { Position, Reading } from './reader.ts'
import type { Records } from './record.ts'

/** Rows fetched at once: as large as an item may be, 100 MB; most have a few kB. */
const page = 200

/** Rows of changes, and bytes of values, that are followed; past that, listing anew is no more work. */
const followed = 10_000
const followedBytes = 16 * 1024 * 1024

/** Reads items, at one moment each time. */
export class ItemReader {
  readonly #schema: string
  readonly #database: Pick<Database, 'read' | 'reading'>
  readonly #records: Records

  constructor(schema: string, database: Pick<Database, 'read' | 'reading'>, records: Records) {
    this.#schema = schema
    this.#database = database
    this.#records = records
  }

  /** All items whose keys begin with `prefix`. */
  async list(prefix: string): Promise<Reading<ItemBatch>> {
    const schema = this.#schema
    const query = `SELECT ${cells({ revision: 'revision', stamp: 'stamp' })} FROM ${schema}.registry WHERE one
      UNION ALL SELECT ${cells(itemCells)} FROM ${schema}.items WHERE key LIKE $1`
    return this.#database.reading(async (session) => {
      await session.query(`DECLARE everything NO SCROLL CURSOR FOR ${query}`, [beginningWith(prefix)])
      const items: Item[] = []
      let position: Position | undefined
      for (let rows: Row[] | undefined; rows === undefined || rows.length === page; ) {
        rows = await session.query(`FETCH ${page} FROM everything`)
        for (const row of rows) {
          const item = row.stamp === null ? this.#records.item(row) : undefined
          if (item !== undefined) items.push(item)
          else if (row.stamp !== null) position = { revision: row.revision, stamp: row.stamp }
        }
      }
      const { revision } = position!
      return { position: position!, batch: { revision, changes: [{ type: 'reset', items }] } }
    })
  }

  /** As `Reader.follow`. */
  async follow(prefix: string, last: Position): Promise<Reading<ItemBatch> | undefined> {
    const schema = this.#schema
    const of = (table: string, revision: string) =>
      `(SELECT * FROM ${schema}.${table} WHERE ${revision} > $1 AND key LIKE $3 LIMIT ${followed}) AS ${table}`
    const value = `CASE WHEN sum(octet_length(value)) OVER (ROWS UNBOUNDED PRECEDING) <= ${followedBytes} THEN value END`
    const rows = await this.#database.read(
      `SELECT ${cells({ revision: 'revision', stamp: 'stamp', known: 'known' })} FROM (SELECT revision, stamp, EXISTS (
        SELECT FROM ${schema}.commits WHERE revision = $1 AND stamp = $2) AS known FROM ${schema}.registry WHERE one) AS head
      UNION ALL SELECT ${cells({ ...itemCells, value })} FROM ${of('items', 'modified')}
      UNION ALL SELECT ${cells({ key: 'key' })} FROM ${of('gone_items', 'revision')}`,
      [last.revision, last.stamp, beginningWith(prefix)],
    )
    const head = rows.find(({ stamp }) => stamp !== null)
    const tooMuch = rows.length > followed || rows.some((row) => isThere(row) && row.value === null)
    if (!head?.known || tooMuch) return undefined
    const { revision, stamp } = head
    return { position: { revision, stamp }, batch: { revision, changes: this.#changes(rows) } }
  }

  /** A key that came back did not go, as far as anybody saw; and what cannot be read is not there. */
  #changes(rows: readonly Row[]): ItemChange[] {
    const changes = new Map<string, ItemChange>()
    for (const { key } of rows) if (key !== null) changes.set(key, { type: 'delete', key })
    for (const row of rows.filter(isThere)) {
      const item = this.#records.item(row)
      if (item !== undefined) changes.set(item.key, { type: 'put', item })
    }
    return [...changes.values()]
  }
}

/** Of the rows about changes: those of items, and not of keys that went. */
function isThere({ modified }: Row): boolean {
  return modified !== null
}

/** The cells of every row that is read, with their types. */
const all = {
  key: 'text',
  value: 'bytea',
  created: 'bigint',
  modified: 'bigint',
  revision: 'bigint',
  stamp: 'text',
  known: 'boolean',
} as const

const itemCells = { key: 'key', value: 'value', created: 'created', modified: 'modified' }

/** Rows of different kinds in one answer: those cells that a kind has not are null. */
function cells(given: Partial<Record<keyof typeof all, string>>): string {
  return Object.entries(all)
    .map(([name, type]) => `CAST(${given[name as keyof typeof all] ?? 'NULL'} AS ${type}) AS ${name}`)
    .join(', ')
}

/** A pattern of LIKE. In the collation "C", an index finds what fits. */
function beginningWith(prefix: string): string {
  return `${prefix.replace(/[\\%_]/g, '\\$&')}%`
}
