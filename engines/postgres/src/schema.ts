import { createHash, randomUUID } from 'node:crypto'
import { isSeamarkError, SeamarkError } from '@seamark/core'
import type { Database, Session } from './database.ts'
import { failureCode, isMissing, reason, unavailable } from './failure.ts'
import type { Location } from './location.ts'

/**
 * Names compare by bytes: two that look alike are two. The instance and its health are JSON in `text`, since `jsonb`
 * refuses a NUL that a check printed.
 */
const registryTables = (schema: string): readonly string[] => [
  `CREATE TABLE ${schema}.registry (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    revision bigint NOT NULL,
    stamp text NOT NULL
  )`,
  `CREATE TABLE ${schema}.commits (
    revision bigint PRIMARY KEY,
    stamp text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
  )`,
  `CREATE INDEX commits_at ON ${schema}.commits (at)`,
  `CREATE TABLE ${schema}.instances (
    namespace text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    instance text NOT NULL,
    health text NOT NULL,
    token text COLLATE "C" NOT NULL UNIQUE,
    created bigint NOT NULL,
    modified bigint NOT NULL,
    PRIMARY KEY (namespace, service, id)
  )`,
  `CREATE INDEX instances_modified ON ${schema}.instances (modified)`,
  `CREATE TABLE ${schema}.leases (
    token text COLLATE "C" PRIMARY KEY,
    ttl bigint,
    deadline timestamptz
  )`,
  `CREATE INDEX leases_deadline ON ${schema}.leases (deadline)`,
  `CREATE TABLE ${schema}.claims (
    namespace text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    PRIMARY KEY (namespace, service, name)
  )`,
  `CREATE INDEX claims_holder ON ${schema}.claims (namespace, service, id)`,
  `CREATE INDEX claims_fence ON ${schema}.claims (fence)`,
  `CREATE TABLE ${schema}.gone (
    revision bigint NOT NULL,
    namespace text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    id text COLLATE "C",
    claim text COLLATE "C",
    CHECK ((id IS NULL) <> (claim IS NULL))
  )`,
  `CREATE INDEX gone_revision ON ${schema}.gone (revision)`,
  `CREATE TABLE ${schema}.ledger (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    swept timestamptz NOT NULL,
    stalled interval NOT NULL
  )`,
  `INSERT INTO ${schema}.ledger (swept, stalled) VALUES (clock_timestamp(), '0')`,
]

const itemTables = (schema: string): readonly string[] => [
  `CREATE TABLE ${schema}.items (
    key text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL,
    created bigint NOT NULL,
    modified bigint NOT NULL
  )`,
  `CREATE INDEX items_modified ON ${schema}.items (modified)`,
  `CREATE TABLE ${schema}.gone_items (
    revision bigint NOT NULL,
    key text COLLATE "C" NOT NULL
  )`,
  `CREATE INDEX gone_items_revision ON ${schema}.gone_items (revision)`,
]

/** What each version of the tables adds to the one before: version 1 is the first of them. */
const additions = [registryTables, itemTables]

/** A registry of a higher one is left alone. */
const version = additions.length

/** Makes the registry if it is not there, and its tables what this version needs. Throws `configuration`, `store_too_new`, `engine_unavailable`. */
export async function prepare(database: Database, location: Location): Promise<void> {
  try {
    const present = await found(database, location)
    if (present === undefined || present < version) await build(database, location)
    else if (present > version)
      throw new SeamarkError(
        'store_too_new',
        `The schema "${location.schema}" was made by a newer Seamark (version ${present} of its tables, and this one knows ${version}): update this one.`,
      )
  } catch (error) {
    throw explained(error, location)
  }
}

async function found(database: Database, location: Location): Promise<number | undefined> {
  const { schema } = location
  try {
    const [row] = await database.write(
      `SELECT version, (
        SELECT string_agg(DISTINCT privilege, ', ') FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
        WHERE relnamespace = '${schema}'::regnamespace AND relkind = 'r' AND NOT has_table_privilege(pg_class.oid, privilege)
      ) AS missing FROM ${schema}.registry`,
    )
    if (row?.missing)
      throw new SeamarkError(
        'configuration',
        `${rights(location)} On some of them is missing: ${row.missing}.`,
      )
    return row?.version
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

async function build(connected: Database, location: Location): Promise<void> {
  const { schema, database } = location
  // Of handles that meet here, one makes it, and the others wait for that and find it.
  const lock = createHash('sha256').update(`seamark:${schema}`).digest().readBigInt64BE()
  await connected.writing(`SELECT pg_advisory_xact_lock(${lock})`, async (session) => {
    const [there] = await session.query(
      `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1) AS schema,
        EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'registry') AS registry,
        current_setting('server_encoding') AS encoding`,
      [schema],
    )
    if (there!.encoding !== 'UTF8')
      throw new SeamarkError(
        'configuration',
        `The database "${database}" is encoded in ${there!.encoding}: names need one in UTF8.`,
      )
    // With IF NOT EXISTS, it would ask for the right to make one that is there.
    if (!there!.schema) await session.query(`CREATE SCHEMA ${schema}`)
    if (there!.registry) await extend(session, location)
    else await create(session, schema)
  })
}

async function create(session: Session, schema: string): Promise<void> {
  for (const tables of additions) for (const table of tables(schema)) await session.query(table)
  const stamp = randomUUID()
  await session.query(`INSERT INTO ${schema}.registry (version, revision, stamp) VALUES ($1, 0, $2)`, [
    version,
    stamp,
  ])
  await session.query(`INSERT INTO ${schema}.commits (revision, stamp) VALUES (0, $1)`, [stamp])
}

/** Those who use the tables meanwhile go on: nothing of theirs changes. */
async function extend(session: Session, { schema, user }: Location): Promise<void> {
  const [head] = await session.query(`SELECT version FROM ${schema}.registry WHERE one FOR UPDATE`)
  const missing = additions.slice(head!.version)
  if (missing.length === 0) return
  try {
    for (const tables of missing) for (const table of tables(schema)) await session.query(table)
  } catch (error) {
    if (failureCode(error) !== '42501') throw error
    throw new SeamarkError(
      'configuration',
      `The tables in the schema "${schema}" are of an older Seamark, and the role "${user}" may not add to them: open the ` +
        `registry once as the role that made them, or GRANT CREATE ON SCHEMA ${schema} TO "${user}". Then every other ` +
        `role needs its rights anew: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ….`,
      { cause: error },
    )
  }
  await session.query(`UPDATE ${schema}.registry SET version = $1`, [version])
}

function rights({ user, schema, database }: Location): string {
  return (
    `The role "${user}" has not the rights it needs: GRANT CREATE ON DATABASE "${database}" TO "${user}", or make its ` +
    `schema for it: CREATE SCHEMA ${schema} AUTHORIZATION "${user}". If another role made its tables: ` +
    `GRANT USAGE ON SCHEMA ${schema} TO "${user}", and GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ` +
    `${schema} TO "${user}".`
  )
}

/** What the operator has to mend, by the code's beginning. */
const problems: Readonly<Record<string, (location: Location) => string>> = {
  '28': ({ user }) => `The user "${user}" was not let in: check the password, and pg_hba.conf.`,
  '3D': ({ database }) => `There is no database "${database}": make it, or correct the URL.`,
  '42501': rights,
  '42': ({ schema }) =>
    `The schema "${schema}" holds something that is not Seamark's: name another one with ?schema=.`,
}

function explained(error: unknown, location: Location): SeamarkError {
  const code = failureCode(error)
  if (isSeamarkError(error) || code === undefined || !/^[0-9A-Z]{5}$/.test(code)) return unavailable(error)
  const problem = problems[code] ?? problems[code.slice(0, 2)]
  if (problem === undefined) return unavailable(error)
  return new SeamarkError('configuration', `${problem(location)} PostgreSQL says: ${reason(error)}.`, {
    cause: error,
  })
}
