import { checkText } from '@seamark/core'
import { type ConsulAnswer, ConsulError, jsonAnswer, textAnswer } from '../answer.ts'
import type { Ask } from '../ask.ts'
import { blocking, knownDatacenter, plainHeaders, reading } from '../blocking.ts'
import type { ConsulContext } from '../context.ts'
import type { Endpoint } from '../endpoint.ts'
import { attempt } from './attempt.ts'
import { Draft } from './draft.ts'
import { type Entry, entryJson } from './entry.ts'
import { type Keys, keyTopic, prefixTopic } from './keys.ts'
import type { Turns } from './turns.ts'
import { parseUnsigned, withUnsigned } from './unsigned.ts'
import { cas, isDelayed, lock, removeCas, set, unlock, type Wanted } from './verbs.ts'

/** Bytes; Consul's (`kv_max_value_size`). */
export const longestValue = 524_288

/** Bytes of UTF-8. Consul has no such bound; engines keep keys of 1,024 bytes, with what the face writes before them. */
const longestKey = 1_000

/** Keys that one write of a recursive removal takes: each is one operation of the store's 64. */
const removedTogether = 64

export interface KeySpace {
  readonly context: ConsulContext
  readonly keys: Keys
  readonly turns: Turns
}

/** Keys and values. */
export function kv(space: KeySpace): readonly Endpoint[] {
  return [
    {
      path: '/v1/kv/',
      methods: ['GET', 'PUT', 'DELETE'],
      // More than a value may have, so that what is somewhat too large is refused in Consul's words.
      bodyBytes: 2 * longestValue,
      answer: (ask) => answers[ask.method]!(space, ask),
    },
  ]
}

const answers: Readonly<Record<string, (space: KeySpace, ask: Ask) => Promise<ConsulAnswer>>> = {
  GET: (space, ask) => (ask.has('keys') ? listKeys(space, ask) : read(space, ask)),
  PUT: write,
  DELETE: remove,
}

async function read({ context, keys }: KeySpace, ask: Ask): Promise<ConsulAnswer> {
  const asked = reading(context, ask)
  const all = ask.has('recurse')
  const key = ask.rest
  if (!all) requireKey(key)
  const { index, value } = await blocking(
    context,
    ask,
    asked,
    [all ? prefixTopic(key) : keyTopic(key)],
    () => {
      if (!all) return { index: keys.index(key), value: [keys.get(key) ?? []].flat() }
      const entries = keys.list(key)
      return { index: keys.indexOf(key, entries), value: entries }
    },
  )
  const headers = plainHeaders(context, asked, index)
  const [first] = value
  if (first === undefined) return textAnswer('', 404, headers)
  return ask.has('raw') && !all ? raw(first, headers) : entriesAnswer(ask, value, headers)
}

function raw({ value }: Entry, headers: Record<string, string>): ConsulAnswer {
  return {
    status: 200,
    headers: {
      ...headers,
      // A value is nobody's page.
      'Content-Type': 'text/plain',
      'X-Content-Type-Options': 'nosniff',
      'Content-Security-Policy': 'sandbox',
    },
    body: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  }
}

function entriesAnswer(ask: Ask, entries: readonly Entry[], headers: Record<string, string>): ConsulAnswer {
  const answer = jsonAnswer(
    ask,
    entries.map((entry) => entryJson(entry)),
    headers,
  )
  return { ...answer, body: withUnsigned(answer.body as string) }
}

async function listKeys({ context, keys }: KeySpace, ask: Ask): Promise<ConsulAnswer> {
  const asked = reading(context, ask)
  const prefix = ask.rest
  const { index, value } = await blocking(context, ask, asked, [prefixTopic(prefix)], () => {
    const entries = keys.list(prefix)
    return { index: keys.indexOf(prefix, entries), value: entries }
  })
  const headers = plainHeaders(context, asked, index)
  if (value.length === 0 && prefix !== '') return textAnswer('', 404, headers)
  return jsonAnswer(ask, cut(value, prefix, ask.get('separator')), headers)
}

/** Keys up to the first separator after the prefix, each once. */
function cut(entries: readonly Entry[], prefix: string, separator: string): string[] {
  if (separator === '') return entries.map(({ key }) => key)
  const cuts = entries.map(({ key }) => {
    const at = key.indexOf(separator, prefix.length)
    return at < 0 ? key : key.slice(0, at + separator.length)
  })
  return [...new Set(cuts)]
}

async function write(space: KeySpace, ask: Ask): Promise<ConsulAnswer> {
  knownDatacenter(space.context, ask)
  requireKey(ask.rest)
  refuseTogether(ask, 'cas', 'acquire', 'release')
  const flags = unsigned(ask, 'flags')
  const index = unsigned(ask, 'cas')
  const { body } = ask
  if (body.length > longestValue)
    throw new ConsulError(
      413,
      `Request body(${body.length} bytes) too large, max size: ${longestValue} bytes. See https://www.consul.io/docs/agent/options.html#kv_max_value_size.`,
    )
  checkKey(ask.rest)
  const session = ask.get('acquire') || ask.get('release')
  const wanted: Wanted = { key: ask.rest, value: body, flags, session, index }
  return jsonAnswer(ask, await change(space, wanted.key, (draft) => putVerb(ask)(draft, wanted)))
}

function putVerb(ask: Ask): (draft: Draft, wanted: Wanted) => boolean {
  if (ask.has('cas')) return cas
  if (ask.has('release')) return unlock
  if (ask.has('acquire')) return (draft, wanted) => !isDelayed(draft, wanted.key) && lock(draft, wanted)
  return set
}

async function remove(space: KeySpace, ask: Ask): Promise<ConsulAnswer> {
  knownDatacenter(space.context, ask)
  refuseTogether(ask, 'recurse', 'cas')
  const key = ask.rest
  if (ask.has('recurse')) return jsonAnswer(ask, await removeAll(space, key))
  requireKey(key)
  const wanted: Wanted = {
    key,
    value: Buffer.alloc(0),
    flags: 0n,
    session: '',
    index: unsigned(ask, 'cas'),
  }
  checkKey(key)
  const verb = ask.has('cas') ? removeCas : removeAlways
  return jsonAnswer(ask, await change(space, key, (draft) => verb(draft, wanted)))
}

function removeAlways(draft: Draft, { key }: Wanted): boolean {
  draft.remove(key)
  return true
}

/** In writes of at most 64 keys: one who reads meanwhile may see some of them gone and others not yet. */
async function removeAll({ context, keys }: KeySpace, prefix: string): Promise<true> {
  const all = keys.list(prefix)
  for (let at = 0; at < all.length; at += removedTogether)
    await attempt(context, () => {
      const draft = new Draft(context.items)
      for (const { key } of all.slice(at, at + removedTogether)) draft.remove(key)
      return { operations: draft.operations(), result: () => true }
    })
  return true
}

/** What an error says is written down, or rather compared, too: it holds of the key as it is, not as it was. */
function change(
  { context, turns }: KeySpace,
  key: string,
  verb: (draft: Draft) => boolean,
): Promise<boolean> {
  return turns.take([key], () =>
    attempt(context, () => {
      const draft = new Draft(context.items)
      try {
        const done = verb(draft)
        return { operations: draft.operations(done), result: () => done }
      } catch (error) {
        return {
          operations: draft.operations(false),
          result: () => {
            throw error
          },
        }
      }
    }),
  )
}

function requireKey(key: string): void {
  if (key === '') throw new ConsulError(400, 'Missing key name')
}

/** Throws 400 for a key that could not be kept: Consul refuses letters that cannot be printed, and says nothing. */
export function checkKey(key: string): void {
  if (/\p{Cc}/u.test(key)) throw new ConsulError(400, '')
  checkText('key', key, longestKey)
}

function refuseTogether(ask: Ask, ...flags: readonly string[]): void {
  if (flags.filter((flag) => ask.has(flag)).length < 2) return
  const query = new URLSearchParams(ask.query)
  query.sort()
  throw new ConsulError(400, `Conflicting flags: ${query}`)
}

function unsigned(ask: Ask, name: string): bigint {
  if (!ask.has(name)) return 0n
  try {
    return parseUnsigned(ask.get(name))
  } catch (error) {
    throw new ConsulError(500, (error as Error).message)
  }
}
