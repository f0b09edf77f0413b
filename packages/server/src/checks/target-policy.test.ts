import { type CheckInput, type InstanceInput, instance, isSeamarkError } from '@seamark/core'
import { describe, expect, test } from 'vitest'
import { isUntouchable, pinned, refuseChecks } from './target-policy.ts'

const strict = { allowCommandChecks: false, allowForeignChecks: false }
const lenient = { allowCommandChecks: true, allowForeignChecks: true }

function api(address: string, check: CheckInput, rest: Partial<InstanceInput> = {}) {
  return instance({
    namespace: 'default',
    service: 'api',
    id: 'i1',
    address,
    port: 3000,
    checks: [check],
    ...rest,
  })
}

const http = (url: string): CheckInput => ({ type: 'http', url })
const tcp = (target?: string): CheckInput => ({ type: 'tcp', target })
const grpc = (target?: string): CheckInput => ({ type: 'grpc', target })

/** What a registration is answered: the field that is refused, by a strict server and by one that allows everything. */
const cases: readonly [
  address: string,
  check: CheckInput,
  strict: string | undefined,
  lenient: string | undefined,
][] = [
  // An instance's own address, however written.
  ['10.0.0.5', http('/healthz'), undefined, undefined],
  ['10.0.0.5', http('http://10.0.0.5:8081/healthz'), undefined, undefined],
  ['10.0.0.5', http('https://10.0.0.5/healthz'), undefined, undefined],
  ['10.0.0.5', http('http://0xa.0.0.5/'), undefined, undefined],
  ['10.0.0.5', http('http://167772165/'), undefined, undefined],
  ['10.0.0.5', http('http://[::ffff:10.0.0.5]:3000/'), undefined, undefined],
  ['::ffff:10.0.0.5', http('http://10.0.0.5/'), undefined, undefined],
  ['10.0.0.5', tcp(), undefined, undefined],
  ['10.0.0.5', tcp('10.0.0.5:6379'), undefined, undefined],
  ['10.0.0.5', tcp('[::ffff:10.0.0.5]:6379'), undefined, undefined],
  ['10.0.0.5', grpc(), undefined, undefined],
  ['10.0.0.5', grpc('10.0.0.5:50051'), undefined, undefined],
  ['web.internal', http('/healthz'), undefined, undefined],
  ['web.internal', http('http://WEB.internal.:81/'), undefined, undefined],
  ['Web.Internal.', tcp('web.internal:81'), undefined, undefined],
  ['2001:db8::1', http('/'), undefined, undefined],
  ['2001:db8::1', http('http://[2001:DB8:0:0::1]/'), undefined, undefined],
  ['2001:db8::1', tcp('[2001:db8:0::1]:80'), undefined, undefined],
  ['127.0.0.1', http('http://localhost:3000/'), undefined, undefined],
  ['127.0.0.1', tcp('[::1]:3000'), undefined, undefined],
  ['localhost', grpc('127.0.0.1:3000'), undefined, undefined],
  // Somebody else's.
  ['10.0.0.5', http('http://10.0.0.6/'), 'checks/0/url', undefined],
  ['10.0.0.5', http('http://10.0.0.5.example.com/'), 'checks/0/url', undefined],
  ['10.0.0.5', http('http://10.0.0.5@10.0.0.6/'), 'checks/0/url', undefined],
  ['10.0.0.5', http('//10.0.0.6/'), 'checks/0/url', undefined],
  ['10.0.0.5', http('/\\10.0.0.6/'), 'checks/0/url', undefined],
  ['10.0.0.5', http('http://localhost/'), 'checks/0/url', undefined],
  ['10.0.0.5', http('http://127.0.0.1/'), 'checks/0/url', undefined],
  ['127.0.0.1', http('http://0.0.0.0/'), 'checks/0/url', undefined],
  ['web.internal', http('http://10.0.0.5/'), 'checks/0/url', undefined],
  ['web.internal', tcp('db.internal:5432'), 'checks/0/target', undefined],
  ['2001:db8::1', grpc('[2001:db8::2]:80'), 'checks/0/target', undefined],
  // Nobody's: never, in any spelling, not even as the instance's own.
  ['10.0.0.5', http('http://169.254.169.254/latest/meta-data/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', http('http://2852039166/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', http('http://0xa9fea9fe/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', http('http://0251.0376.0251.0376/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', http('http://169.254.43518/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', http('http://[::ffff:169.254.169.254]/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', http('http://[fe80::1]/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', http('http://[fd00:ec2:0:0::254]/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', http('http://100.100.100.200/'), 'checks/0/url', 'checks/0/url'],
  ['10.0.0.5', tcp('169.254.169.254:80'), 'checks/0/target', 'checks/0/target'],
  ['10.0.0.5', tcp('0xa9.0376.43518:80'), 'checks/0/target', 'checks/0/target'],
  ['10.0.0.5', grpc('[::ffff:a9fe:a9fe]:80'), 'checks/0/target', 'checks/0/target'],
  ['169.254.169.254', http('/latest/meta-data/'), 'checks/0/url', 'checks/0/url'],
  ['2852039166', http('/latest/meta-data/'), 'checks/0/url', 'checks/0/url'],
  ['169.254.169.254', tcp(), 'checks/0/target', 'checks/0/target'],
  ['fe80::1%eth0', tcp(), 'checks/0/target', 'checks/0/target'],
  ['fe80::1%eth0', http('/'), 'checks/0/url', 'checks/0/url'],
  ['::ffff:100.100.100.200', grpc(), 'checks/0/target', 'checks/0/target'],
  // Commands.
  ['10.0.0.5', { type: 'command', command: ['true'] }, 'checks/0/command', undefined],
]

describe('a registration', () => {
  test.each(cases)('at %s with the check %j', (address, check, strictly, leniently) => {
    for (const [policy, field] of [
      [strict, strictly],
      [lenient, leniently],
    ] as const) {
      const refuse = () => refuseChecks(api(address, check), policy)
      if (field === undefined) expect(refuse).not.toThrow()
      else expect(refuse).toThrow(expect.objectContaining({ code: 'not_allowed', field }))
    }
  })

  test('is told how to allow what is refused, where it can be allowed', () => {
    const refuse = (check: CheckInput) => () => refuseChecks(api('10.0.0.5', check), strict)
    expect(refuse(http('http://10.0.0.6/'))).toThrow('--allow-foreign-checks')
    expect(refuse({ type: 'command', command: ['true'] })).toThrow('--allow-command-checks')
    expect(refuse(http('http://169.254.169.254/'))).toThrow('never')
  })

  test('names the check that is refused among several', () => {
    const refuse = () =>
      refuseChecks(
        api('10.0.0.5', tcp(), { checks: [tcp(), { ...tcp('10.0.0.6:80'), id: 'other' }] }),
        strict,
      )
    expect(refuse).toThrow(expect.objectContaining({ field: 'checks/1/target' }))
  })

  test.each([
    ['10.0.0.5', 0, http('/')],
    ['10.0.0.5', 0, tcp()],
    ['999.999.999.999', 80, http('/')],
  ])('at %s:%i is refused when its check %j could not be sent anywhere', (address, port, check) => {
    expect(() => refuseChecks(api(address, check, { port }), strict)).toThrow(
      expect.objectContaining({ code: 'invalid_field' }),
    )
  })
})

test.each([
  '169.254.0.0',
  '169.254.169.254',
  '169.254.170.2',
  '169.254.255.255',
  '::ffff:169.254.169.254',
  '0:0:0:0:0:ffff:a9fe:a9fe',
  '::169.254.169.254',
  '64:ff9b::169.254.169.254',
  '2002:a9fe:a9fe::1',
  'fe80::',
  'fe80::1%2',
  'febf:ffff::1',
  '[fe80::1]',
  'fd00:ec2::254',
  '100.100.100.200',
  '::ffff:6464:64c8',
  '64:ff9b::6464:64c8',
  '2002:6464:64c8::1',
  '2852039166',
  '0xA9.0xFE.0xA9.0xFE',
  '1684301000',
])('%s is never connected to', (address) => {
  expect(isUntouchable(address)).toBe(true)
})

test.each([
  '169.253.255.255',
  '169.255.0.0',
  '127.0.0.1',
  '10.0.0.1',
  '100.100.100.201',
  '::1',
  'fec0::1',
  'fd00:ec2::253',
  '::ffff:10.0.0.1',
  '64:ff9b::10.0.0.1',
  'metadata.example.com',
  '169.254.169.254.example.com',
])('%s may be connected to', (address) => {
  expect(isUntouchable(address)).toBe(false)
})

describe('a host name', () => {
  const { signal } = new AbortController()
  const web = api('web.internal', http('/'))
  const check = web.checks[0] as Extract<(typeof web.checks)[0], { type: 'http' }>
  const resolveTo =
    (...addresses: string[]) =>
    async () =>
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

  test.each([['169.254.169.254'], ['::ffff:169.254.169.254'], ['fe80::1%2'], ['100.100.100.200']])(
    'that resolves to %s is refused, whatever is allowed',
    async (address) => {
      const refusal = await pinned(check, web, lenient, signal, resolveTo(address)).catch((error) => error)
      expect(isSeamarkError(refusal, 'not_allowed')).toBe(true)
      expect(refusal.message).toContain(address)
    },
  )

  test('is resolved once, and connections can go nowhere else', async () => {
    const answers = [resolveTo('127.0.0.1', 'fe80::1'), resolveTo('169.254.169.254')]
    const { lookup } = await pinned(check, web, strict, signal, () => answers.shift()!())
    const all = await new Promise((resolve) =>
      lookup('web.internal', { all: true }, (_, found) => resolve(found)),
    )
    expect(all).toEqual([{ address: '127.0.0.1', family: 4 }])
    const one = await new Promise((resolve) => lookup('web.internal', {}, (_, found) => resolve(found)))
    expect(one).toBe('127.0.0.1')
    expect(answers).toHaveLength(1)
  })

  test('that does not resolve in time is given up', async () => {
    const stop = new AbortController()
    const pending = pinned(check, web, strict, stop.signal, () => new Promise(() => {}))
    stop.abort(new Error('too late'))
    await expect(pending).rejects.toThrow('too late')
  })
})
