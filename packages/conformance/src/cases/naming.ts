import { type InstanceKey, instance, instanceId, limits } from '@seamark/core'
import { expect } from 'vitest'
import type { Cases } from '../suite.ts'
import type { EngineTrial } from '../trial.ts'

/** Names that careless encodings of keys, paths, URLs or queries would change, refuse or take for something else. */
const strangeNames = [
  'サービス',
  'ünïcödé',
  '\u{1f600}\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  'مرحبا',
  '.',
  '..',
  '...',
  '../..',
  './api',
  '/',
  '//',
  '/api/',
  'a/b',
  'a%2Fb',
  '%',
  '%2e%2e',
  '%00',
  '%ZZ',
  'a b',
  ' ',
  ' a ',
  '+',
  'a+b',
  '?a=b&c=d#e',
  'a:b',
  '127.0.0.1:3000',
  '[::1]:3000',
  'a\\b',
  '"quoted"',
  "it's",
  '$where',
  '*',
  'a*b?',
  '{api}',
  '@',
  ';--',
  '~',
  '__proto__',
  'constructor',
  'null',
  'undefined',
  'instances',
  'claims',
  '0',
  '-1',
  'API',
]

/** Keys that fall together where the parts of a key are joined, trimmed, folded or normalized without care. */
const closeKeys = (namespace: string): readonly InstanceKey[] =>
  [
    ['', 'a/b', 'c'],
    ['', 'a', 'b/c'],
    ['', 'a%2Fb', 'd'],
    ['/a', 'b', 'e'],
    ['', 'a', 'b/e'],
    ['', 'a:b', 'f'],
    ['', 'a', 'b:f'],
    ['', 'a', ' g'],
    ['', 'a', 'g '],
    ['', 'a', 'g'],
    ['', 'a ', 'h'],
    ['', 'A', 'i'],
    ['', 'a', 'I'],
    // One letter, composed and decomposed: two names.
    ['', 'a', '\u00e9'],
    ['', 'a', 'e\u0301'],
    ['', 'caf\u00e9', 'j'],
    ['', 'cafe\u0301', 'k'],
    ['', 'a', '.'],
    ['', 'a', '..'],
    ['', 'a', '%2e'],
    ['', 'a', '%2E'],
    ['', 'a', '0'],
    ['', 'a', '00'],
    ['', 'a', '0.0'],
    ['', 'ab', 'l'],
    ['', 'abc', 'm'],
    ['.b', 'a', 'n'],
    ['', 'b.a', 'o'],
    ['', 'a', '\u{10000}'],
    ['', 'a', '\uffff'],
    ['', 'a', '\ue000'],
  ].map(([suffix, service, id]) => ({ namespace: namespace + suffix, service: service!, id: id! }))

/** Names of exactly as many bytes as allowed, in characters of one to four bytes. */
const longNames = ['x', 'é', '漢', '\u{1f600}', '%', '/', '.'].map((character) => {
  const bytes = Buffer.byteLength(character)
  const count = Math.floor(limits.nameBytes / bytes)
  return character.repeat(count) + 'z'.repeat(limits.nameBytes - count * bytes)
})

/** Names and sizes: whatever the model allows comes back byte for byte. */
export const naming: Cases<EngineTrial> = {
  'strange ids come back as they were': async (trial) => {
    const engine = await trial.open()
    const following = trial.follow(engine)
    await roundTrip(
      trial,
      strangeNames.map((id) => trial.key(id)),
    )
    await following.until('all', ({ entries }) => entries.size === strangeNames.length)
    for (const id of strangeNames) expect(await engine.deregister(trial.key(id)), id).toBeDefined()
    await following.until('none', ({ entries }) => entries.size === 0)
  },

  'strange service names come back as they were': async (trial) => {
    await roundTrip(
      trial,
      strangeNames.map((service, index) => ({ ...trial.service, service, id: `i${index}` })),
    )
  },

  'strange namespaces come back as they were': async (trial) => {
    const { namespace } = trial.service
    const around = strangeNames.flatMap((name) => [`${name}${namespace}`, `${namespace}${name}`])
    await roundTrip(
      trial,
      around.map((name, index) => ({ namespace: name, service: 'api', id: `i${index}` })),
    )
  },

  'strange names hold leases, health and claims': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    for (const [index, name] of strangeNames.entries()) {
      const key = { namespace: `${trial.service.namespace}${name}`, service: name, id: `${name}${index}` }
      const lease = await engine.register(instance({ ...key, address: '::1', port: 1 }), {
        ttl: 100 * trial.ttl,
      })
      expect(lease.key).toEqual(key)
      expect((await other.resume(lease.token)).key).toEqual(key)
      await engine.report(key, [{ id: name, status: 'warning', output: name }])
      const claim = await engine.claim(name, lease)
      expect(claim?.holder).toMatchObject({ ...key, name })
      const state = await trial.read(other, [key], claim!.revision)
      expect(state.entries).toMatchObject([
        { instance: key, health: { checks: [{ id: name, status: 'warning', output: name }] } },
      ])
      expect(state.holders).toEqual([claim!.holder])
      await claim![Symbol.asyncDispose]()
      expect((await trial.read(engine, [key])).holders).toEqual([])
      const released = await engine.release(lease.token)
      expect(released).toBeDefined()
      expect((await trial.read(other, [key], released)).entries).toEqual([])
    }
  },

  'keys that look alike stay apart': async (trial) => {
    const engine = await trial.open()
    const keys = closeKeys(trial.service.namespace)
    await roundTrip(trial, keys)
    for (const [index, key] of keys.entries()) {
      expect(await engine.deregister(key), JSON.stringify(key)).toBeDefined()
      const { entries } = await trial.read(engine, keys)
      expect(entries).toHaveLength(keys.length - index - 1)
    }
  },

  'names of 255 bytes come back as they were': async (trial) => {
    const unique = trial.service.namespace
    await roundTrip(
      trial,
      longNames.map((name, index) => ({
        namespace: `${unique}${'n'.repeat(limits.nameBytes - Buffer.byteLength(unique))}`,
        service: name,
        id: longNames[(index + 1) % longNames.length]!,
      })),
    )
    const engine = await trial.open()
    const [service] = longNames
    const lease = await engine.register(trial.instance('i1', { service: service! }))
    for (const name of longNames) expect((await engine.claim(name, lease))?.holder.name).toBe(name)
    const { holders } = await trial.read(engine, [{ ...trial.service, service: service! }])
    expect(holders.map(({ name }) => name).sort()).toEqual(longNames.toSorted())
  },

  'an instance of the greatest size comes back byte for byte': async (trial) => {
    const [engine, other] = [await trial.open(), await trial.open()]
    const filled = (start: string, bytes: number, character = '漢') => {
      const count = Math.floor((bytes - Buffer.byteLength(start)) / Buffer.byteLength(character))
      const text = start + character.repeat(count)
      return text + 'z'.repeat(bytes - Buffer.byteLength(text))
    }
    const index = (length: number) => Array.from({ length }, (_, at) => at)
    const greatest = trial.instance(filled('i', limits.nameBytes), {
      address: `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`,
      port: 65_535,
      scheme: 'x'.repeat(limits.schemeBytes),
      version: `1.0.0-${'v'.repeat(limits.versionBytes - 6)}`,
      zone: filled('', limits.nameBytes, '\u{1f600}'),
      weight: limits.weight,
      tags: index(limits.tags).map((at) => filled(`${at}`, limits.tagBytes)),
      metadata: Object.fromEntries(
        index(limits.metadataPairs).map((at) => [
          filled(`${at}`, limits.metadataKeyBytes, 'é'),
          filled(`"\\`, limits.metadataValueBytes),
        ]),
      ),
      checks: index(limits.checks).map((at) => ({
        id: filled(`${at}`, limits.nameBytes),
        type: 'http',
        url: `/${'u'.repeat(2_047)}`,
      })),
    })
    const lease = await engine.register(greatest, { ttl: limits.ttl })
    const visible = await engine.report(
      greatest,
      index(limits.checkResults - limits.checks).map((at) => ({
        id: filled(`outside ${at}`, limits.nameBytes),
        status: 'warning',
        output: filled('', limits.outputBytes),
      })),
    )
    const [entry] = (await trial.read(other, [trial.service], visible)).entries
    expect(entry!.instance).toEqual(greatest)
    expect(entry!.health.checks).toHaveLength(limits.checkResults)
    expect(Buffer.byteLength(entry!.health.checks.at(-1)!.output)).toBe(limits.outputBytes)
    expect(await engine.renew([lease.token])).toEqual([true])
  },

  'metadata and tags of strange text come back as they were': async (trial) => {
    const engine = await trial.open()
    const keys = strangeNames.filter((name) => name !== '__proto__')
    const strange = trial.instance('i1', {
      tags: strangeNames,
      metadata: Object.fromEntries(keys.map((name) => [name, `${name} `])),
    })
    const ordered = trial.instance('i2', { tags: ['b', 'a', 'c'], metadata: { b: '1', a: '2' } })
    await engine.register(strange)
    await engine.register(ordered)
    const { entries } = await trial.read(engine)
    const shown = new Map(entries.map((entry) => [entry.instance.id, entry.instance]))
    expect(shown.get('i1')).toEqual(strange)
    // Tags are a list: in the order of their owner.
    expect(shown.get('i2')?.tags).toEqual(['b', 'a', 'c'])
  },
}

/** Registers an instance under each key from one handle, and expects another to show each as it was, in its service. */
async function roundTrip(trial: EngineTrial, keys: readonly InstanceKey[]): Promise<void> {
  const [engine, other] = [await trial.open(), await trial.open()]
  const instances = keys.map((key, index) =>
    instance({ ...key, address: '127.0.0.1', port: index, metadata: { id: key.id } }),
  )
  let visible = 0
  for (const each of instances) {
    const lease = await engine.register(each)
    visible = lease.revision
    expect(lease.key).toEqual({ namespace: each.namespace, service: each.service, id: each.id })
  }
  const together = new Map(
    (await trial.read(other, keys, visible)).entries.map((entry) => [
      instanceId(entry.instance),
      entry.instance,
    ]),
  )
  expect(together.size).toBe(keys.length)
  for (const each of instances) {
    expect(together.get(instanceId(each))).toEqual(each)
    const alone = await trial.read(other, [each])
    expect(alone.entries.map((entry) => entry.instance)).toContainEqual(each)
  }
}
