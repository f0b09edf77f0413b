import { type Engine, instance, type Notice } from '@seamark/core'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type PostgresServer, postgresServer } from '../../../test/servers/postgres.ts'
import { tls } from '../../../test/servers/tls.ts'
import { open } from './postgres.ts'

const api = instance({ namespace: 'default', service: 'api', id: 'i1', address: '10.0.0.1', port: 80 })

engineTests('postgres', () => {
  let server: PostgresServer
  let engine: Engine | undefined
  let admin: Client
  beforeAll(async () => {
    server = await postgresServer()
    admin = new Client(server.url)
    await admin.connect()
  })
  afterAll(async () => {
    await admin?.end()
    await server?.[Symbol.asyncDispose]()
  })
  afterEach(async () => {
    await engine?.[Symbol.asyncDispose]()
    // The server takes a moment to note that a connection was closed.
    while ((await connections()).length > 0) await new Promise((resolve) => setTimeout(resolve, 10))
  })

  /** Of the engine: whether they are encrypted. */
  async function connections(): Promise<boolean[]> {
    const { rows } = await admin.query(
      `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'seamark'`,
    )
    return rows.map(({ ssl }) => ssl)
  }

  it.each([
    ['', false],
    ['?sslmode=disable', false],
    ['?sslmode=require', true],
    [`?sslmode=require&sslrootcert=${tls.ca}`, true],
    [`?sslmode=verify-ca&sslrootcert=${tls.ca}`, true],
    [`?sslmode=verify-full&sslrootcert=${tls.ca}`, true],
    [`?sslrootcert=${tls.ca}`, true],
  ])('a URL with "%s" connects', async (parameters, expected) => {
    engine = await open(`${server.url}${parameters}`)
    await engine.register(api)
    expect(await connections()).toEqual([expected])
  })

  it('does not trust a server of an unknown authority', async () => {
    const notices: Notice[] = []
    const url = `${server.url}?sslmode=verify-full`
    engine = await open(url, { notify: (notice) => notices.push(notice) })
    expect(notices).toContainEqual(
      expect.objectContaining({ event: 'source_lost', message: expect.stringMatching(/certificate/) }),
    )
    await expect(engine.register(api)).rejects.toMatchObject({ code: 'engine_unavailable' })
  })
})
