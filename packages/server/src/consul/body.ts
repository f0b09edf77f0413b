import { isUtf8 } from 'node:buffer'
import { ConsulError } from './answer.ts'
import type { Ask } from './ask.ts'
import { goDuration } from './go-duration.ts'

/** Reads one value of a body, and completes it; `path` names it in errors. Never sees `null`, which Go takes for nothing. */
export type Shape<T> = (value: unknown, path: string) => T

/** What cannot be decoded; the message is Go's. */
export class DecodeError extends Error {}

/**
 * The body as Go's decoder takes it: keys in any case, unknown ones ignored, `null` for nothing. The content type does not
 * matter, as in Consul. Throws 400 with Consul's text, which begins with `prefix`.
 */
export function decoded<T>(ask: Ask, shape: Shape<T>, prefix = 'Request decode failed: '): T {
  try {
    const value = parsed(ask.body)
    return shape(value ?? {}, '')
  } catch (error) {
    if (error instanceof DecodeError) throw new ConsulError(400, prefix + error.message)
    throw error
  }
}

/** Throws `DecodeError`. */
export function parsed(body: Buffer): unknown {
  const text = isUtf8(body) ? body.toString() : body.toString('latin1')
  if (text.trim() === '') throw new DecodeError('EOF')
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new DecodeError(syntaxError(text, (error as Error).message))
  }
}

function syntaxError(text: string, message: string): string {
  const at = /at position (\d+)/.exec(message)?.[1]
  const character = at === undefined ? undefined : text[Number(at)]
  if (character === undefined) return 'unexpected EOF'
  const quoted = character === "'" ? "'\\''" : `'${character}'`
  return `invalid character ${quoted} looking for beginning of value`
}

/** An object's known fields, each optional. */
export function object<T extends Record<string, unknown>>(
  fields: { readonly [K in keyof T]: Shape<T[K]> },
): Shape<Partial<T>> {
  const byName = new Map(Object.entries(fields).map(([name, shape]) => [name.toLowerCase(), { name, shape }]))
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw mismatch(value, path, 'struct')
    const found: Record<string, unknown> = {}
    for (const [key, inner] of Object.entries(value)) {
      const field = byName.get(key.toLowerCase())
      if (field === undefined || inner === null) continue
      found[field.name] = field.shape(inner, path === '' ? field.name : `${path}.${field.name}`)
    }
    return found as Partial<T>
  }
}

export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw mismatch(value, path, 'slice')
    // Go leaves an element that is null at its zero value, which is what an empty element reads as.
    return value.flatMap((element) => (element === null ? [] : [shape(element, path)]))
  }
}

export function map<T>(shape: Shape<T>): Shape<Record<string, T>> {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw mismatch(value, path, 'map')
    const pairs = Object.entries(value).flatMap(([key, inner]) =>
      inner === null ? [] : [[key, shape(inner, path)] as const],
    )
    return Object.fromEntries(pairs)
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
  if (typeof value !== 'number' || !Number.isInteger(value)) throw mismatch(value, path, 'int')
  return value
}

/** Whatever it is: for what is kept, and given back, unseen. */
export const anything: Shape<unknown> = (value) => value

/** Milliseconds, of Go's notation or of a number of nanoseconds. */
export const duration: Shape<number> = (value, path) => {
  if (typeof value === 'number') return value / 1e6
  if (typeof value !== 'string') throw mismatch(value, path, 'time.Duration')
  const ms = value === '' ? 0 : goDuration(value)
  if (ms === undefined) throw new DecodeError(`time: invalid duration ${value}`)
  return ms
}

function mismatch(value: unknown, path: string, type: string): DecodeError {
  const kind = Array.isArray(value) ? 'array' : value === null ? 'null' : kinds[typeof value]
  return new DecodeError(
    path === ''
      ? `json: cannot unmarshal ${kind} into Go value of type ${type}`
      : `json: cannot unmarshal ${kind} into Go struct field ${path} of type ${type}`,
  )
}

const kinds: Readonly<Record<string, string>> = {
  boolean: 'bool',
  number: 'number',
  object: 'object',
  string: 'string',
}
