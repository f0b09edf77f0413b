import { type ConsulAnswer, ConsulError, jsonAnswer } from './answer.ts'
import type { Ask, Question } from './ask.ts'
import { blocking, plainHeaders, readHeaders, reading, type Seen } from './blocking.ts'
import type { ConsulContext } from './context.ts'
import type { Endpoint } from './endpoint.ts'
import type { ConsulNode } from './node.ts'

/** Which topics a read waits for, how it looks, and what it prints of what it saw. */
export interface Read<T> {
  /** Whether Consul says how consistent it is. Default true. */
  readonly saysConsistency?: boolean
  /** Whether Consul's agents keep the answer where they are asked to. Default true. */
  readonly cacheable?: boolean
  readonly topics: readonly string[]
  readonly look: () => Seen<T>
  readonly print: (value: T) => unknown
}

/** Answers a read in Consul's manner: blocking, with its headers. */
export async function readAnswer<T>(context: ConsulContext, ask: Ask, read: Read<T>): Promise<ConsulAnswer> {
  const how = reading(context, ask)
  const { index, value } = await blocking(context, ask, how, read.topics, read.look)
  const headers = read.saysConsistency === false ? plainHeaders : readHeaders
  const cached = how.cached && read.cacheable !== false
  return jsonAnswer(ask, read.print(value), headers(context, { ...how, cached }, index))
}

/** An endpoint whose reads, when they fail, tell as Consul's do that nobody was asked. */
export function telling(endpoint: Endpoint): Endpoint {
  return {
    ...endpoint,
    async answer(ask) {
      try {
        return await endpoint.answer(ask)
      } catch (error) {
        if (ask.method === 'GET' && error instanceof ConsulError && error.status === 500)
          throw new ConsulError(500, error.message, {
            ...error.headers,
            'X-Consul-Index': '1',
            'X-Consul-Knownleader': 'false',
            'X-Consul-Lastcontact': '0',
          })
        throw error
      }
    },
  }
}

/**
 * The namespace that is asked for with `?ns=`; Consul has them in its enterprise edition only. The one where Seamark keeps
 * its own is not shown.
 */
export function namespaceOf(ask: Question): string {
  const namespace = ask.get('ns')
  if (namespace === '') return 'default'
  if (namespace === 'seamark')
    throw new ConsulError(400, 'Bad request: The namespace "seamark" is not to be seen here')
  return namespace
}

/** What follows the path, which may not be empty. */
export function named(rest: string, missing: string): string {
  if (rest === '') throw new ConsulError(400, missing)
  return rest
}

/** `?node-meta=key:value`, any number of times: nodes that have all of them. */
export function nodeFilter(ask: Question): (node: ConsulNode) => boolean {
  const wanted = ask.query.getAll('node-meta').map((pair) => {
    const at = pair.indexOf(':')
    return at < 0 ? ([pair, ''] as const) : ([pair.slice(0, at), pair.slice(at + 1)] as const)
  })
  return ({ meta }) =>
    wanted.every(([key, value]) => meta !== null && Object.hasOwn(meta, key) && meta[key] === value)
}

/** `?tag=`, any number of times: what has all of them, in whichever case. */
export function tagFilter(ask: Question): (tags: readonly string[]) => boolean {
  const wanted = ask.query.getAll('tag').map((tag) => tag.toLowerCase())
  if (wanted.length === 0) return () => true
  return (tags) => {
    const there = new Set(tags.map((tag) => tag.toLowerCase()))
    return wanted.every((tag) => there.has(tag))
  }
}

/** A boolean as Go reads it; `undefined` for none. */
export function goBoolean(text: string): boolean | undefined {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false
  return undefined
}
