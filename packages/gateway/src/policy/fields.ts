import { checkText, invalidField, milliseconds } from '@seamark/core'

/** Reads a value that a person wrote. Throws `invalid_field`, with `field` as its path. */
export type Check<T> = (field: string, value: unknown) => T

export type Checks<T> = { readonly [K in keyof T]-?: Check<NonNullable<T[K]>> }

interface Shape<T> {
  /** For fields that are left out. */
  readonly defaults?: { readonly [K in keyof T]?: NonNullable<T[K]> }
  /** Fields that must be there. */
  readonly required?: readonly (keyof T & string)[]
}

/** An object with these fields and no other. What it reads is frozen; a field that is left out stays out. */
export function record<T>(what: string, checks: Checks<T>, shape: Shape<T> = {}): Check<T> {
  return (field, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalidField(field, `must be an object: ${what}`)
    for (const name of Object.keys(value))
      if (!Object.hasOwn(checks, name))
        throw invalidField(`${field}/${name}`, `is no field of ${what}: ${Object.keys(checks).join(', ')}`)
    const given = value as Readonly<Record<string, unknown>>
    const read: Record<string, unknown> = { ...shape.defaults }
    for (const [name, check] of Object.entries<Check<unknown>>(checks)) {
      const path = `${field}/${name}`
      if (given[name] !== undefined) read[name] = check(path, given[name])
      else if (shape.required?.includes(name as keyof T & string)) throw invalidField(path, 'is missing')
    }
    return Object.freeze(read) as T
  }
}

export function integer(least: number, most: number): Check<number> {
  return (field, value) => {
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
      throw invalidField(field, `must be a whole number from ${least} to ${most}`)
    return value as number
  }
}

/** A share of something. */
export const share: Check<number> = (field, value) => {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1))
    throw invalidField(field, 'must be a share, a number from 0 to 1')
  return value
}

/** In ms. */
export function duration(least: number, most: number): Check<number> {
  return (field, value) => {
    const ms = milliseconds(field, value)
    if (ms < least || ms > most) throw invalidField(field, `must be from ${least} to ${most} ms`)
    return ms
  }
}

export function text(bytes: number): Check<string> {
  return (field, value) => {
    checkText(field, value, bytes)
    if (value === '') throw invalidField(field, 'must not be empty')
    return value
  }
}

export function oneOf<T extends string>(values: readonly T[]): Check<T> {
  return (field, value) => {
    const known = values.find((one) => one === value)
    if (known === undefined) throw invalidField(field, `must be one of ${values.join(', ')}`)
    return known
  }
}

export function list<T>(most: number, check: Check<T>): Check<readonly T[]> {
  return (field, value) => {
    if (!Array.isArray(value)) throw invalidField(field, 'must be an array')
    if (value.length === 0) throw invalidField(field, 'must not be empty')
    if (value.length > most) throw invalidField(field, `must have at most ${most} elements`)
    return Object.freeze(value.map((one, index) => check(`${field}/${index}`, one)))
  }
}

/** The name of a header or of a cookie (RFC 9110, 5.6.2): a token. */
export const token: Check<string> = (field, value) => {
  if (typeof value !== 'string' || value.length > 256 || !/^[\w!#$%&'*+.^`|~-]+$/.test(value))
    throw invalidField(field, 'must be a name of letters, digits and "-", "_" or "."')
  return value
}
