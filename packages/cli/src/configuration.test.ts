import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { configuration, type Sources } from './configuration.ts'
import {
  client,
  everywhere,
  gateway,
  gatewayAlone,
  gatewayInside,
  instances,
  register,
  server,
} from './options.ts'

const folders: string[] = []

/** A folder with that `seamark.yaml`. */
function folderWith(yaml?: string, name = 'seamark.yaml'): string {
  const folder = mkdtempSync(join(tmpdir(), 'seamark-configuration-'))
  folders.push(folder)
  if (yaml !== undefined) writeFileSync(join(folder, name), yaml)
  return folder
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

function read({ yaml, ...sources }: Partial<Sources> & { yaml?: string }) {
  return configuration(
    { ...server, ...everywhere },
    { flags: {}, environment: {}, folder: folderWith(yaml), ...sources },
  )
}

describe('configuration', () => {
  it('has defaults', async () => {
    expect(await read({})).toMatchObject({
      engine: 'lmdb:./data',
      host: '127.0.0.1',
      port: 8500,
      insecure: false,
    })
  })

  it('takes flags over variables over the file over defaults', async () => {
    const yaml = 'port: 1\nhost: file\nengine: "memory:"\n'
    const environment = { SEAMARK_PORT: '2', SEAMARK_HOST: 'variable' }
    expect(await read({ yaml, environment, flags: { port: ['3'] } })).toMatchObject({
      port: 3,
      host: 'variable',
      engine: 'memory:',
      logLevel: 'info',
    })
  })

  it('sets a gateway up the same, by itself and inside a server', async () => {
    const yaml = 'gateway:\n  enabled: true\n  routes: gateway.json\n  engine: etcd://host\nport: 8501\n'
    const environment = { SEAMARK_GATEWAY_PORT: '81', SEAMARK_GATEWAY_TRUSTED_PROXY: '10.0.0.0/8' }
    const sources = { environment, folder: folderWith(yaml) }
    const alone = { ...gatewayAlone, ...gateway, url: client.url, ...everywhere }
    expect(await configuration(alone, { ...sources, flags: { statusPort: ['off'] } })).toMatchObject({
      engine: 'etcd://host',
      port: 81,
      routes: 'gateway.json',
      trustedProxy: ['10.0.0.0/8'],
      statusPort: 'off',
    })
    const inside = { ...server, ...gatewayInside, ...everywhere }
    expect(await configuration(inside, { ...sources, flags: { gatewayHost: ['::'] } })).toMatchObject({
      engine: 'lmdb:./data',
      port: 8501,
      gateway: true,
      gatewayHost: '::',
      gatewayPort: 81,
      gatewayRoutes: 'gateway.json',
      gatewayTrustedProxy: ['10.0.0.0/8'],
    })
    await expect(configuration(inside, { ...sources, flags: { gatewayPort: ['x'] } })).rejects.toThrow(
      '--gateway-port must be a whole number',
    )
  })

  it('reads every type from every place', async () => {
    const group = { ...register, ...client }
    const expected = {
      port: 3000,
      tag: ['a', 'b'],
      meta: { team: 'x', tier: '1' },
      ttl: 10_000,
      checkTcp: true,
    }
    const yaml = `
register:
  port: 3000
  tag: [a, b]
  meta: { team: x, tier: "1" }
  ttl: 10s
  check-tcp: true
`
    const environment = {
      SEAMARK_REGISTER_PORT: '3000',
      SEAMARK_REGISTER_TAG: 'a, b',
      SEAMARK_REGISTER_META: 'team=x,tier=1',
      SEAMARK_REGISTER_TTL: '10s',
      SEAMARK_REGISTER_CHECK_TCP: 'true',
    }
    const flags = {
      port: ['3000'],
      tag: ['a', 'b'],
      meta: ['team=x', 'tier=1'],
      ttl: ['10s'],
      checkTcp: true,
    }
    const nothing = { flags: {}, environment: {}, folder: folderWith() }
    expect(await configuration(group, { ...nothing, folder: folderWith(yaml) })).toMatchObject(expected)
    expect(await configuration(group, { ...nothing, environment })).toMatchObject(expected)
    expect(await configuration(group, { ...nothing, flags })).toMatchObject(expected)
  })

  it("keeps the server's port and that of an instance apart", async () => {
    const sources = { flags: {}, environment: { SEAMARK_PORT: '9000' }, folder: folderWith('port: 9000') }
    expect((await configuration(register, sources)).port).toBeUndefined()
  })

  it('takes filters from the command line only', async () => {
    const sources = { flags: {}, environment: { SEAMARK_REGISTER_TAG: 'blue' }, folder: folderWith() }
    expect((await configuration(instances, sources)).tag).toEqual([])
    await expect(read({ environment: { SEAMARK_HEALTH: 'passing' } })).rejects.toThrow('SEAMARK_HEALTH')
  })

  it('lets a flag turn off what the file turned on', async () => {
    expect((await read({ yaml: 'insecure: true' })).insecure).toBe(true)
    expect((await read({ yaml: 'insecure: true', flags: { insecure: false } })).insecure).toBe(false)
    expect(
      (await read({ yaml: 'insecure: true', environment: { SEAMARK_INSECURE: 'false' } })).insecure,
    ).toBe(false)
  })

  it('takes an empty variable, an empty file and a key with nothing after it as not said', async () => {
    expect((await read({ environment: { SEAMARK_PORT: '' } })).port).toBe(8500)
    expect((await read({ yaml: '' })).port).toBe(8500)
    expect((await read({ yaml: '# nothing\n' })).port).toBe(8500)
    expect((await read({ yaml: 'port:\nregister:\n' })).port).toBe(8500)
  })

  it('reads the file that is named, by flag or variable, instead of seamark.yaml', async () => {
    const folder = folderWith('port: 1')
    writeFileSync(join(folder, 'other.yaml'), 'port: 2')
    expect((await read({ folder })).port).toBe(1)
    expect((await read({ folder, flags: { config: ['other.yaml'] } })).port).toBe(2)
    expect((await read({ folder, environment: { SEAMARK_CONFIG: 'other.yaml' } })).port).toBe(2)
  })

  it('leaves the variables alone that Kubernetes makes for a Service called seamark', async () => {
    const environment = {
      SEAMARK_SERVICE_HOST: '10.0.0.1',
      SEAMARK_SERVICE_PORT: '8500',
      SEAMARK_SERVICE_PORT_HTTP: '8500',
      SEAMARK_PORT: 'tcp://10.0.0.1:8500',
      SEAMARK_PORT_8500_TCP: 'tcp://10.0.0.1:8500',
      SEAMARK_PORT_8500_TCP_ADDR: '10.0.0.1',
      SEAMARK_PORT_8500_TCP_PORT: '8500',
      SEAMARK_PORT_8500_TCP_PROTO: 'tcp',
    }
    expect((await read({ environment })).port).toBe(8500)
  })

  describe('refuses', () => {
    const flags = (name: string, ...texts: string[]) => ({ flags: { [name]: texts } })
    const environment = (name: string, text: string) => ({ environment: { [name]: text } })
    const cases: [string, Partial<Sources> & { yaml?: string }, string][] = [
      [
        'a port that is none',
        flags('port', '80a'),
        '--port must be a whole number from 0 to 65535, not "80a".',
      ],
      [
        'a port beyond',
        flags('port', '70000'),
        '--port must be a whole number from 0 to 65535, not "70000".',
      ],
      ['an unknown level', flags('logLevel', 'loud'), '--log-level must be one of trace, debug, info, warn'],
      [
        'a variable of the wrong type',
        environment('SEAMARK_PORT', 'x'),
        'SEAMARK_PORT must be a whole number',
      ],
      [
        'a switch that is neither',
        environment('SEAMARK_INSECURE', 'yes'),
        'SEAMARK_INSECURE must be true or false, not "yes".',
      ],
      [
        'an unknown variable',
        environment('SEAMARK_PROT', ''),
        'The environment variable SEAMARK_PROT is none of Seamark\'s. Did you mean "SEAMARK_PORT"?',
      ],
      [
        'an unknown variable like no other',
        environment('SEAMARK_NOTHING_SUCH', '1'),
        'SEAMARK_NOTHING_SUCH is none',
      ],
      [
        'a variable of another command',
        environment('SEAMARK_REGISTER_TTL', 'soon'),
        'SEAMARK_REGISTER_TTL must be a duration',
      ],
      [
        'an overridden variable',
        { ...environment('SEAMARK_PORT', 'x'), ...flags('port', '1') },
        'SEAMARK_PORT must be',
      ],
      [
        'a duration without a unit',
        { environment: { SEAMARK_REGISTER_TTL: '10' } },
        'SEAMARK_REGISTER_TTL must be a duration such as 500ms, 10s, 5m or 1h, not "10".',
      ],
      [
        'an unknown key',
        { yaml: '# first\nhost: a\nprot: 1' },
        'seamark.yaml:3: there is no option "prot". Did you mean "port"?',
      ],
      [
        'an unknown key of a section',
        { yaml: 'register:\n  prot: 1' },
        'seamark.yaml:2: register: there is no option "prot". Did you mean "port"?',
      ],
      [
        'a value of the wrong type',
        { yaml: '\nport: "8500"' },
        'seamark.yaml:2: port must be a whole number from 0 to 65535, not "8500".',
      ],
      ['a port of text', { yaml: 'port: abc' }, 'seamark.yaml:1: port must be a whole number'],
      [
        'a version that YAML reads as a number',
        { yaml: 'register:\n  version: 1.10' },
        'seamark.yaml:2: register: version must be text, not 1.1: put it in quotes.',
      ],
      [
        'a list that is none',
        { yaml: 'allow-host: a' },
        'seamark.yaml:1: allow-host must be a list, not "a".',
      ],
      [
        'a section that is none',
        { yaml: 'register: 1' },
        'seamark.yaml:1: register must be a map of its options',
      ],
      ['a list as the file', { yaml: '- port: 1' }, 'seamark.yaml:1: must hold "key: value" lines'],
      ['what is no YAML', { yaml: 'host: a\nport: [1' }, /^seamark\.yaml:\d: not YAML: /.source],
      ['a key twice', { yaml: 'port: 1\nport: 2' }, 'seamark.yaml:2: not YAML: Map keys must be unique'],
      [
        'the file naming a file',
        { yaml: 'config: other.yaml' },
        'seamark.yaml:1: there is no option "config".',
      ],
      ['a file that is not there', flags('config', 'missing.yaml'), 'cannot be read: there is no such file.'],
    ]
    it.each(cases)('%s', async (_, sources, message) => {
      const expected = message.startsWith('^') ? new RegExp(message) : message
      await expect(read(sources)).rejects.toThrow(expected)
      await expect(read(sources)).rejects.toThrow(expect.objectContaining({ code: 'configuration' }))
    })
  })
})
