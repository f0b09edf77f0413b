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
  beforeAll(async () => {
    server = await postgresServer()
  })
  afterAll(() => server?.[Symbol.asyncDispose]())
  afterEach(() => engine?.[Symbol.asyncDispose]())

  /** Whether the engine's connections are encrypted. */
  async function encrypted(): Promise<boolean> {
    const admin = new Client(server.url)
    await admin.connect()
    const { rows } = await admin.query(
      `SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'seamark'`,
    )
    await admin.end()
    expect(rows).toHaveLength(1)
    return rows[0].ssl
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
    expect(await encrypted()).toBe(expected)
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
