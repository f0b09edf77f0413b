import { hostname } from 'node:os'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, type RunningServer, seamark, startServer } from './seamark.ts'

let server: RunningServer

beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server[Symbol.asyncDispose]())

/** Runs a command line against the server of these tests. */
function ask(...words: string[]): Promise<Ended> {
  return seamark(words, { environment: { SEAMARK_URL: server.url } })
}

/** Registers an instance, as a precondition; answers its id. */
async function registered(
  namespace: string,
  service: string,
  port: number,
  more: Readonly<Record<string, unknown>> & { readonly id?: string } = {},
): Promise<string> {
  const { id = `${service}-${port}`, ...said } = more
  const response = await fetch(
    `${server.url}/api/v1/namespaces/${namespace}/services/${service}/instances/${id}`,
    {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ port, address: '10.0.0.1', ...said }),
    },
  )
  expect(response.ok, await response.text()).toBe(true)
  return id
}

describe('seamark register', () => {
  it('registers an instance that stays, and says how it goes', async () => {
    const ended = await ask('register', 'api', '--port', '3000', '--namespace', 'register')
    const id = `api-${hostname()}-3000`
    expect(ended).toMatchObject({
      code: 0,
      stdout: `Registered register/api/${id} at 127.0.0.1:3000.\n`,
    })
    const [, words] = /^It stays until: .*?(deregister .*)\n$/.exec(ended.stderr)!
    expect(await ask(...words!.split(' '))).toMatchObject({
      code: 0,
      stdout: `Deregistered register/api/${id}.\n`,
    })
  })

  it('registers all that is said of it', async () => {
    const words = [
      'register',
      'api',
      '--namespace',
      'all',
      '--port',
      '3000',
      '--id',
      'a1',
      '--address',
      '::1',
    ]
    const more = ['--version', '2.1.0', '--zone', 'eu-1', '--scheme', 'https', '--weight', '5']
    const lists = ['--tag', 'a', '--tag', 'b', '--meta', 'team=x', '--meta', 'eq=a=b']
    const checks = ['--check-http', '/healthz', '--check-tcp', '--interval', '5s']
    const { code, stdout, stderr } = await ask(...words, ...more, ...lists, ...checks, '--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      instance: {
        namespace: 'all',
        service: 'api',
        id: 'a1',
        address: '::1',
        port: 3000,
        scheme: 'https',
        version: '2.1.0',
        zone: 'eu-1',
        weight: 5,
        tags: ['a', 'b'],
        metadata: { team: 'x', eq: 'a=b' },
        checks: [
          { type: 'http', url: '/healthz', interval: 5_000 },
          { type: 'tcp', interval: 5_000 },
        ],
      },
      revision: expect.any(Number),
    })
  })

  it('replaces an instance of the same id, and refuses an id of another service', async () => {
    await registered('ids', 'api', 3000, { id: 'x' })
    expect(await ask('register', 'api', '--namespace', 'ids', '--port', '3001', '--id', 'x')).toMatchObject({
      code: 0,
    })
    const { stdout } = await ask('find', 'api', '--namespace', 'ids')
    expect(stdout).toBe('127.0.0.1:3001\n')
    const { code, stderr } = await ask('register', 'www', '--namespace', 'ids', '--port', '1', '--id', 'x')
    expect(code).toBe(5)
    expect(stderr).toMatch(/^seamark: .*x.*api/)
  })

  it.each([
    ['a name that is none', ['register', 'Api', '--port', '1'], 2, 'service must be a DNS label'],
    ['an address that is none', ['register', 'api', '--port', '1', '--address', 'a b'], 2, 'address must be'],
    ['a version that is none', ['register', 'api', '--port', '1', '--version', 'new'], 2, 'version must be'],
  ])('passes on that the server refuses %s', async (_, words, exit, message) => {
    const { code, stdout, stderr } = await ask(...words)
    expect({ code, stdout }).toEqual({ code: exit, stdout: '' })
    expect(stderr).toContain(`seamark: ${message}`)
    const { error } = JSON.parse((await ask(...words, '--json')).stderr)
    expect(error).toMatchObject({ code: 'invalid_field', field: message.split(' ')[0] })
  })

  it('tells apart what the server does not allow', async () => {
    const words = ['register', 'api', '--namespace', 'refused', '--port', '1', '--check-http']
    const { code, stderr } = await ask(...words, 'http://10.9.9.9/')
    expect({ code, stderr }).toEqual({ code: 6, stderr: expect.stringMatching(/^seamark: /) })
  })
})

describe('seamark services', () => {
  it('lists services with their instances by health', async () => {
    await registered('list', 'api', 3000, { version: '2.1.0', tags: ['blue'] })
    const id = await registered('list', 'api', 3001, { version: '2.2.0' })
    await registered('list', 'www', 8080)
    await ask('maintenance', 'api', id, '--namespace', 'list', '--enable')
    expect((await ask('services', '--namespace', 'list')).stdout).toBe(
      [
        'SERVICE  INSTANCES  PASSING  WARNING  CRITICAL  MAINTENANCE  VERSIONS     TAGS',
        'api              2        1        0         0            1  2.1.0 2.2.0  blue',
        'www              1        1        0         0            0',
        '',
      ].join('\n'),
    )
    const { stdout } = await ask('services', '--namespace', 'list', '--json')
    expect(JSON.parse(stdout)).toEqual({
      namespace: 'list',
      services: [
        expect.objectContaining({ service: 'api', instances: 2, versions: ['2.1.0', '2.2.0'] }),
        expect.objectContaining({ service: 'www', instances: 1, tags: [] }),
      ],
    })
  })

  it('says where services are when there are none here', async () => {
    await registered('elsewhere', 'api', 1)
    const { code, stdout, stderr } = await ask('services', '--namespace', 'empty')
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toMatch(/^No services in namespace empty\. Others have some: .*elsewhere \(1\)/)
    const json = await ask('services', '--namespace', 'empty', '--json')
    expect(json).toMatchObject({ stdout: '{"namespace":"empty","services":[]}\n', stderr: '' })
  })
})

describe('seamark instances', () => {
  beforeAll(async () => {
    await registered('instances', 'api', 3000, { version: '2.1.0', zone: 'eu-1', tags: ['blue'] })
    await registered('instances', 'api', 3001, { version: '3.0.0', metadata: { team: 'x' } })
    await ask('maintenance', 'api-3001', '--namespace', 'instances', '--enable', '--reason', 'new disk')
  })

  it('lists what is known of each, and why one is not passing', async () => {
    const { code, stdout } = await ask('instances', 'api', '--namespace', 'instances')
    expect(code).toBe(0)
    expect(stdout).toBe(
      [
        'ID        ADDRESS        VERSION  ZONE  WEIGHT  TAGS  HEALTH       WHY',
        'api-3000  10.0.0.1:3000  2.1.0    eu-1       1  blue  passing',
        'api-3001  10.0.0.1:3001  3.0.0               1        maintenance  maintenance: new disk',
        '',
      ].join('\n'),
    )
    const json = JSON.parse((await ask('instances', 'api', '--namespace', 'instances', '--json')).stdout)
    expect(json).toMatchObject({ namespace: 'instances', service: 'api', staleSince: null, holders: [] })
    expect(json.instances.map(({ port }: { port: number }) => port)).toEqual([3000, 3001])
  })

  it.each([
    [['--version', '^2'], [3000]],
    [['--version', '>=2', '--health', 'maintenance'], [3001]],
    [['--tag', 'blue'], [3000]],
    [['--zone', 'eu-1'], [3000]],
    [['--meta', 'team=x'], [3001]],
    [
      ['--health', 'passing', '--health', 'maintenance'],
      [3000, 3001],
    ],
    [['--zone', 'nowhere'], []],
  ])('narrows the list by %j', async (words, ports) => {
    const { code, stdout } = await ask('instances', 'api', '--namespace', 'instances', '--json', ...words)
    const found = JSON.parse(stdout).instances.map(({ port }: { port: number }) => port)
    expect({ code, found }).toEqual({ code: 0, found: ports })
  })

  it('says so when filters leave nothing', async () => {
    const ended = await ask('instances', 'api', '--namespace', 'instances', '--zone', 'nowhere')
    expect(ended).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('No instance of api fits'),
    })
  })

  it('fails for a service that is not there, and suggests one', async () => {
    const ended = await ask('instances', 'apy', '--namespace', 'instances')
    expect(ended).toMatchObject({ code: 3, stdout: '' })
    expect(ended.stderr).toBe('seamark: No instance of instances/apy is registered. Did you mean "api"?\n')
  })
})

describe('seamark find', () => {
  beforeAll(async () => {
    await registered('find', 'api', 3000, { version: '2.1.0', scheme: 'https', zone: 'eu-1' })
    await registered('find', 'down', 1)
    await ask('maintenance', 'down', 'down-1', '--namespace', 'find', '--enable')
  })

  it('prints an address, an origin, or a document', async () => {
    const find = async (...words: string[]) =>
      (await ask('find', 'api', '--namespace', 'find', ...words)).stdout
    expect(await find()).toBe('10.0.0.1:3000\n')
    expect(await find('--origin', '--version', '^2', '--zone', 'eu-1')).toBe('https://10.0.0.1:3000\n')
    expect(JSON.parse(await find('--json'))).toMatchObject({ instance: { port: 3000, version: '2.1.0' } })
  })

  it.each([
    ['no such service', 'nosuch', [], 'No instance of find/nosuch is registered. There are: api, down.'],
    ['no healthy instance', 'down', [], 'No healthy instance of down fits: of 1, 1 maintenance'],
    ['no fitting version', 'api', ['--version', '^3'], 'versions: 2.1.0'],
  ])('fails with 3 when there is %s, and says what there is', async (_, service, words, message) => {
    const { code, stdout, stderr } = await ask('find', service, '--namespace', 'find', ...words)
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toContain(message)
  })
})

describe('seamark maintenance', () => {
  it('takes an instance out of service and puts it back', async () => {
    const id = await registered('care', 'api', 3000)
    const key = [id, '--namespace', 'care']
    const out = await ask('maintenance', 'api', ...key, '--enable', '--reason', 'new disk')
    expect(out).toMatchObject({ code: 0, stdout: `care/api/${id} is in maintenance.\n` })
    expect((await ask('find', 'api', '--namespace', 'care')).code).toBe(3)
    const back = await ask('maintenance', ...key, '--disable', '--json')
    expect(JSON.parse(back.stdout)).toMatchObject({ service: 'api', id, maintenance: false })
    expect((await ask('find', 'api', '--namespace', 'care')).code).toBe(0)
  })

  it('fails for an instance that is not there', async () => {
    expect((await ask('maintenance', 'api', 'nosuch', '--enable')).code).toBe(3)
  })
})

describe('seamark deregister', () => {
  it('removes an instance, by its service and id or by its id alone', async () => {
    const [first, second] = [await registered('gone', 'api', 1), await registered('gone', 'api', 2)]
    const one = await ask('deregister', 'api', first, '--namespace', 'gone')
    expect(one).toMatchObject({ code: 0, stdout: `Deregistered gone/api/${first}.\n` })
    const two = await ask('deregister', second, '--namespace', 'gone', '--json')
    expect(JSON.parse(two.stdout)).toEqual({
      namespace: 'gone',
      service: 'api',
      id: second,
      revision: expect.any(Number),
    })
    expect((await ask('instances', 'api', '--namespace', 'gone')).code).toBe(3)
  })

  it('fails for an instance that is not there, and says which are', async () => {
    const id = await registered('stays', 'api', 3000)
    const slip = await ask('deregister', 'api', `${id}0`, '--namespace', 'stays')
    expect(slip.code).toBe(3)
    expect(slip.stderr).toBe(
      `seamark: Service api in namespace stays has no instance "${id}0". Did you mean "${id}"?\n`,
    )
    const alone = await ask('deregister', 'nosuch', '--namespace', 'stays')
    expect(alone.code).toBe(3)
    expect(alone.stderr).toContain('No instance in namespace stays has the id "nosuch".')
  })
})

describe('several servers', () => {
  it('asks the next one when one is away', async () => {
    const { code, stderr } = await seamark(['services', '--url', `http://127.0.0.1:9,${server.url}`])
    expect({ code, stderr: stderr.includes('No Seamark server') }).toEqual({ code: 0, stderr: false })
  })
})
