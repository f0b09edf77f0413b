import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type TlsOptions } from 'node:tls'
import { follower } from '@seamark/conformance'
import { type Engine, instance, type Notice } from '@seamark/core'
import { Etcd3 } from 'etcd3'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type EtcdServer, etcdServer } from '../../../test/servers/etcd.ts'
import { etcd } from './etcd.ts'

const service = { namespace: 'default', service: 'api' }
const api = (id: string) => instance({ ...service, id, address: '10.0.0.1', port: 8080 })

engineTests('etcd', () => {
  const opened: Engine[] = []
  const notices: Notice[] = []
  afterEach(async () => {
    for (const each of opened.splice(0)) await each[Symbol.asyncDispose]()
  })

  async function open(url: string): Promise<Engine> {
    const engine = await etcd(url, { notify: (notice) => notices.push(notice) })
    opened.push(engine)
    return engine
  }

  describe('an etcd that knows its users', () => {
    let server: EtcdServer
    let at: string

    beforeAll(async () => {
      server = await etcdServer()
      at = `127.0.0.1:${server.port}`
      const raw = new Etcd3({ hosts: at })
      await raw.auth.userAdd({ name: 'root', password: 'rootsecret' })
      await raw.auth.userGrantRole({ user: 'root', role: 'root' })
      await raw.auth.roleAdd({ name: 'registry' })
      const perm = {
        permType: 'Readwrite',
        key: Buffer.from('/seamark/'),
        range_end: Buffer.from('/seamark0'),
      } as const
      await raw.auth.roleGrantPermission({ name: 'registry', perm })
      await raw.auth.userAdd({ name: 'app', password: 'p@ss/word' })
      await raw.auth.userGrantRole({ user: 'app', role: 'registry' })
      await raw.auth.authEnable()
      raw.close()
    })
    afterAll(() => server?.[Symbol.asyncDispose]())

    it('lets in who knows the password, and to no more than its prefix', async () => {
      const engine = await open(`etcd://app:p%40ss%2Fword@${at}`)
      const lease = await engine.register(api('i1'), { ttl: 60_000 })
      await engine.claim('primary', lease)
      await using following = follower(engine, [service])
      await following.until('the instance', ({ entries }) => entries.size === 1)
      const elsewhere = await open(`etcd://app:p%40ss%2Fword@${at}/elsewhere`)
      const refused = { code: 'engine_unavailable', message: expect.stringContaining('permission denied') }
      await expect(elsewhere.register(api('i1'))).rejects.toMatchObject(refused)
      await expect(follower(elsewhere, [service]).until('anything', () => true)).rejects.toMatchObject(
        refused,
      )
      await lease[Symbol.asyncDispose]()
    })

    it('that has forgotten our token is told the password again', async () => {
      const engine = await open(`etcd://app:p%40ss%2Fword@${at}`)
      const lease = await engine.register(api('i1'), { ttl: 60_000 })
      await using following = follower(engine, [service], { persistent: true })
      await following.until('the instance', ({ entries }) => entries.size === 1)
      // Tokens live in its memory.
      await server.restart()
      await engine.register(api('i2'))
      await following.until('the next', ({ entries }) => entries.size === 2)
      await lease.renew()
    })

    it.each([
      ['a wrong password', 'app:wrong-password@'],
      ['a wrong user', 'nobody:wrong-password@'],
      ['no user', ''],
    ])('refuses %s, which is said without the password', async (_, user) => {
      const refused = await etcd(`etcd://${user}${at}`).catch((error: unknown) => error)
      expect(refused).toMatchObject({
        code: 'configuration',
        message: expect.stringMatching(/does not let us in/),
      })
      expect(JSON.stringify([String(refused), refused, notices])).not.toMatch(/wrong-password/)
    })
  })

  it('an etcd that knows no users refuses those who come with a password', async () => {
    await using server = await etcdServer()
    await expect(etcd(`etcd://app:secret@127.0.0.1:${server.port}`)).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('authentication is not enabled'),
    })
  })

  const openssl = spawnSync('openssl', ['version']).status === 0
  describe.runIf(openssl)('an etcd behind TLS (openssl makes the certificates)', () => {
    let server: EtcdServer
    let folder: string
    const file = (name: string) => join(folder, name)

    beforeAll(async () => {
      server = await etcdServer()
      folder = mkdtempSync(join(tmpdir(), 'seamark-etcd-tls-'))
      const run = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
      const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
      for (const ca of ['ca', 'stranger'])
        run(
          'req',
          '-x509',
          ...newKey,
          '-keyout',
          `${ca}.key`,
          '-out',
          `${ca}.pem`,
          '-subj',
          `/CN=${ca}`,
          '-days',
          '2',
        )
      writeFileSync(file('names'), 'subjectAltName=IP:127.0.0.1')
      for (const name of ['server', 'client']) {
        run('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
        const signed = [
          '-CA',
          'ca.pem',
          '-CAkey',
          'ca.key',
          '-CAcreateserial',
          '-days',
          '2',
          '-extfile',
          'names',
        ]
        run('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signed)
      }
    }, 30_000)
    afterAll(async () => {
      await server?.[Symbol.asyncDispose]()
      if (folder !== undefined) rmSync(folder, { recursive: true })
    })

    /** The server, as if it spoke TLS itself. */
    async function secured(options: TlsOptions = {}) {
      const cert = readFileSync(file('server.pem'))
      const key = readFileSync(file('server.key'))
      const proxy = createServer({ cert, key, ALPNProtocols: ['h2'], ...options }, (near) => {
        const far = connect(server.port, '127.0.0.1')
        near.pipe(far).pipe(near)
        for (const [one, other] of [
          [near, far],
          [far, near],
        ] as const)
          one.on('error', () => undefined).on('close', () => other.destroy())
      })
      proxy.on('tlsClientError', () => undefined)
      proxy.listen(0, '127.0.0.1')
      await once(proxy, 'listening')
      const { port } = proxy.address() as AddressInfo
      return { at: `127.0.0.1:${port}`, [Symbol.dispose]: () => void proxy.close() }
    }

    it('is reached through it, and proves who it is', async () => {
      using proxy = await secured()
      const engine = await open(`etcd://${proxy.at}/tls?ca=${file('ca.pem')}`)
      const lease = await engine.register(api('i1'), { ttl: 60_000 })
      await lease.renew()
      await using following = follower(engine, [service])
      await following.until('the instance', ({ entries }) => entries.size === 1)
      for (const doubtful of [`?ca=${file('stranger.pem')}`, '?tls=true', '']) {
        const other = await open(`etcd://${proxy.at}/tls${doubtful}`)
        await expect(other.register(api('i2')), doubtful).rejects.toMatchObject({
          code: 'engine_unavailable',
        })
      }
    }, 60_000)

    it('may ask who we are', async () => {
      using proxy = await secured({ requestCert: true, ca: readFileSync(file('ca.pem')) })
      const ca = `ca=${file('ca.pem')}`
      const engine = await open(
        `etcd://${proxy.at}/tls?${ca}&cert=${file('client.pem')}&key=${file('client.key')}`,
      )
      await engine.register(api('i3'))
      const other = await open(`etcd://${proxy.at}/tls?${ca}`)
      await expect(other.register(api('i2'))).rejects.toMatchObject({ code: 'engine_unavailable' })
    }, 60_000)
  })
})
