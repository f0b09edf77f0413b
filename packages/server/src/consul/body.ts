import { isUtf8 } from 'node:buffer'
import { ConsulError } from './answer.ts'
import type { Ask } from './ask.ts'
import { durationProblem, goDuration } from './go-duration.ts'
import { scanJson } from './go-json.ts'

/**
 * Reads one value of a body, and completes it. Never sees `null`, which Go takes for nothing. `path` is where it stands as
 * Go's errors say it: the struct that it is a field of, and the fields that lead there (`NodeService.Service.Port`); empty
 * for the whole body.
 */
export type Shape<T> = (value: unknown, path: string) => T

/** What cannot be decoded; the message is Go's. */
export class DecodeError extends Error {}

/**
 * The body as Go's decoder takes it: keys in any case, `null` for nothing. The content type does not matter, as in Consul.
 * Throws 400 with Consul's text, which begins with `prefix`.
 */
export function decoded<T>(ask: Ask, shape: Shape<T>, prefix = 'Request decode failed: '): T {
  try {
    return shape(parsed(ask.body) ?? {}, '')
  } catch (error) {
    if (error instanceof DecodeError) throw new ConsulError(400, prefix + error.message)
    throw error
  }
}

/** The first value of the body: as Go's decoder, it does not look at what follows. Throws `DecodeError`. */
export function parsed(body: Buffer): unknown {
  const text = isUtf8(body) ? body.toString() : body.toString('latin1')
  try {
    return JSON.parse(text)
  } catch (error) {
    const scan = scanJson(text)
    if ('problem' in scan) throw new DecodeError(scan.problem)
    if (scan.end < text.length) return JSON.parse(text.slice(0, scan.end))
    throw new DecodeError((error as Error).message)
  }
}

export interface ObjectOptions {
  /** What Go calls the struct, in errors. Default nothing. */
  readonly struct?: string
  /** Keys that are refused because there is no such field; Consul refuses them where `true`. Default false. */
  readonly strict?: boolean
}

/** An object's known fields, each optional. Underscores in keys do not count, as Consul's own files have them. */
export function object<T extends Record<string, unknown>>(
  fields: { readonly [K in keyof T]: Shape<T[K]> },
  { struct = '', strict = false }: ObjectOptions = {},
): Shape<Partial<T>> {
  const owner = struct.slice(struct.lastIndexOf('.') + 1)
  const byName = new Map(Object.entries(fields).map(([name, shape]) => [name.toLowerCase(), { name, shape }]))
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw mismatch(value, path, struct === '' ? 'struct' : struct)
    const way = path.slice(path.indexOf('.') + 1)
    const found: Record<string, unknown> = {}
    for (const [key, inner] of Object.entries(value)) {
      const name = key.toLowerCase()
      const field = byName.get(name) ?? byName.get(name.replaceAll('_', ''))
      if (field === undefined && strict) throw new DecodeError(`json: unknown field ${JSON.stringify(key)}`)
      if (field === undefined || inner === null) continue
      const own = way === '' ? field.name : `${way}.${field.name}`
      found[field.name] = field.shape(inner, `${owner}.${own}`)
    }
    return found as Partial<T>
  }
}

/** `type` is what Go calls it. */
export function list<T>(shape: Shape<T>, type = '[]string'): Shape<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw mismatch(value, path, type)
    return value.flatMap((element) => (element === null ? [] : [shape(element, path)]))
  }
}

/** `type` is what Go calls it. A value that is `null` is `zero`, or, without one, not there. */
export function map<T>(shape: Shape<T>, type = 'map[string]string', zero?: T): Shape<Record<string, T>> {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(value, path, type)
    const pairs = Object.entries(value).map(
      ([key, inner]) => [key, inner === null ? zero : shape(inner, path)] as const,
    )
    return Object.fromEntries(pairs.filter((pair): pair is [string, T] => pair[1] !== undefined))
  }
}

export const text: Shape<string> = (value, path) => {
  if (typeof value !== 'string') throw mismatch(value, path, 'string')
  return value
}

export const boolean: Shape<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw mismatch(value, path, 'bool')
  return value
}

export const integer: Shape<number> = (value, path) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw mismatch(value, path, 'int')
  return value
}

export const texts: Shape<Record<string, string>> = map(text, 'map[string]string', '')

/** Whatever it is: for what is kept, and given back, unseen. */
export const anything: Shape<unknown> = (value) => value

/** An object of whatever: for what is kept, and given back, unseen. */
export const anyObject: Shape<Record<string, unknown>> = map(anything, 'map[string]interface {}')

/** Milliseconds, of Go's notation or of a number of nanoseconds. Anything else Consul overlooks. */
export const duration: Shape<number> = (value) => {
  if (typeof value === 'number') return value / 1e6
  if (typeof value !== 'string') return 0
  const ms = goDuration(value)
  if (ms === undefined) throw new DecodeError(durationProblem(value))
  return ms
}

function mismatch(value: unknown, path: string, type: string): DecodeError {
  const kind = Array.isArray(value) ? 'array' : value === null ? 'null' : kinds[typeof value]
  const where = path === '' ? 'Go value' : `Go struct field ${path}`
  return new DecodeError(`json: cannot unmarshal ${kind} into ${where} of type ${type}`)
}

const kinds: Readonly<Record<string, string>> = {
  boolean: 'bool',
  number: 'number',
  object: 'object',
  string: 'string',
}
