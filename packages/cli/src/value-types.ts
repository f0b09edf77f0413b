import { milliseconds } from '@seamark/core'

/** One kind of value an option may have, and how it is read from each place it may stand in. */
export interface ValueType<T> {
  /** What it is, for people: `a port`. */
  readonly name: string
  /** What stands for it in `--help`; a switch has none. */
  readonly placeholder?: string
  /** Whether its flag may be given several times. */
  readonly repeatable: boolean
  /** From the texts its flag was given, in order; a switch is given as `true` or `false`. Throws what is wrong: `must be …`. */
  flag(texts: readonly string[]): T
  /** From the text of its environment variable. Throws as `flag`. */
  variable(text: string): T
  /** From a value of a YAML file. Throws as `flag`. */
  yaml(value: unknown): T
  /** How a value is written. Default as `String` does. */
  format?(value: T): string
}

function scalar<T>(
  name: string,
  placeholder: string | undefined,
  parse: (text: string) => T,
  yaml: (value: unknown) => T,
): ValueType<T> {
  return {
    name,
    ...(placeholder !== undefined && { placeholder }),
    repeatable: false,
    flag: (texts) => parse(texts.at(-1)!),
    variable: parse,
    yaml,
  }
}

function wrong(expected: string, value: unknown): Error {
  return new Error(`must be ${expected}, not ${JSON.stringify(value)}`)
}

function yamlText(value: unknown): string {
  if (typeof value === 'string') return value
  throw new Error(`must be text, not ${JSON.stringify(value)}: put it in quotes`)
}

export const text: ValueType<string> = scalar('text', 'text', (value) => value, yamlText)

/** As `text`, with another word for it in `--help`. */
export function named(placeholder: string): ValueType<string> {
  return { ...text, placeholder }
}

export function whole(least: number, most: number, placeholder = 'number'): ValueType<number> {
  const name = `a whole number from ${least} to ${most}`
  const check = (number: number, given: unknown) => {
    if (!Number.isInteger(number) || number < least || number > most) throw wrong(name, given)
    return number
  }
  return scalar(
    name,
    placeholder,
    (value) => check(/^\d+$/.test(value) ? Number(value) : Number.NaN, value),
    (value) => check(typeof value === 'number' ? value : Number.NaN, value),
  )
}

/** A number, or a word that stands for none. */
export function wholeOr<const W extends string>(
  word: W,
  least: number,
  most: number,
  placeholder = 'number',
): ValueType<number | W> {
  const number = whole(least, most, placeholder)
  const name = `${number.name}, or ${word}`
  const read = (value: unknown, read: () => number): number | W => {
    if (value === word) return word
    try {
      return read()
    } catch {
      throw wrong(name, value)
    }
  }
  return scalar(
    name,
    placeholder,
    (value) => read(value, () => number.variable(value)),
    (value) => read(value, () => number.yaml(value)),
  )
}

/** Milliseconds. In a file a number of them will do; elsewhere, where all is text, a unit must say what is meant. */
function readDuration(value: unknown): number {
  try {
    return milliseconds('', value)
  } catch {
    throw wrong('a duration such as 500ms, 10s, 5m or 1h', value)
  }
}

export const duration: ValueType<number> = {
  ...scalar('a duration', 'duration', readDuration, readDuration),
  format: (value) => (value % 1_000 === 0 ? `${value / 1_000}s` : `${value}ms`),
}

export const onOff: ValueType<boolean> = scalar(
  'true or false',
  undefined,
  (value) => {
    if (value !== 'true' && value !== 'false') throw wrong('true or false', value)
    return value === 'true'
  },
  (value) => {
    if (typeof value !== 'boolean') throw wrong('true or false', value)
    return value
  },
)

export function choice<const T extends string>(values: readonly T[], placeholder: string): ValueType<T> {
  const name = `one of ${values.join(', ')}`
  const check = (value: unknown): T => {
    if (!values.includes(value as T)) throw wrong(name, value)
    return value as T
  }
  return scalar(name, placeholder, check, check)
}

/** Several of another type: its flag is repeated, its variable separates them by commas, in YAML it is a list. */
export function list<T>(type: ValueType<T>): ValueType<readonly T[]> {
  return {
    name: `a list, each ${type.name}`,
    ...(type.placeholder !== undefined && { placeholder: type.placeholder }),
    repeatable: true,
    flag: (values) => values.map((value) => type.variable(value)),
    variable: (value) => value.split(',').map((part) => type.variable(part.trim())),
    yaml: (value) => {
      if (!Array.isArray(value)) throw wrong('a list', value)
      return value.map((part) => type.yaml(part))
    },
  }
}

/** Names with values: its flag `name=value` is repeated, its variable separates them by commas, in YAML it is a map. */
export const pairs: ValueType<Readonly<Record<string, string>>> = {
  name: 'pairs name=value',
  placeholder: 'name=value',
  repeatable: true,
  flag: (values) => Object.fromEntries(values.map(pair)),
  variable: (value) => Object.fromEntries(value.split(',').map((part) => pair(part.trim()))),
  yaml: (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('a map', value)
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, yamlText(part)]))
  },
}

function pair(value: string): [string, string] {
  const at = value.indexOf('=')
  if (at < 1) throw wrong('name=value', value)
  return [value.slice(0, at), value.slice(at + 1)]
}
