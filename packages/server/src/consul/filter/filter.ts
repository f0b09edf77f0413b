import { RE2JS } from 're2js'
import { parseBoolean, parseInteger } from './coercion.ts'
import { type Expression, type Match, type Operator, parse } from './expression.ts'
import { filterError } from './filter-error.ts'
import { quote } from './quote.ts'
import type { Shape } from './shape.ts'

/** Whether a value, such as it is printed in an answer, is asked for. What it leaves out counts as empty, 0 or false. */
export type Filter = (value: unknown) => boolean

/**
 * The filter of `?filter=`, in the language of Consul 1.8, for values of that shape. An empty expression lets everything
 * through. Throws `ConsulError`, in Consul's words. Bounded: see `longestExpression`; regular expressions take linear time.
 */
export function filterFor(expression: string, shape: Shape): Filter {
  return expression === '' ? () => true : compile(parse(expression), shape)
}

function compile(expression: Expression, shape: Shape): Filter {
  if (expression.type === 'match') return compileMatch(expression, shape)
  if (expression.type === 'not') {
    const operand = compile(expression.operand, shape)
    return (value) => !operand(value)
  }
  const operands = expression.operands.map((operand) => compile(operand, shape))
  return expression.type === 'and'
    ? (value) => operands.every((operand) => operand(value))
    : (value) => operands.some((operand) => operand(value))
}

const supported: Readonly<Record<Shape['type'], readonly Operator[]>> = {
  string: ['equal', 'in', 'matches'],
  int: ['equal'],
  bool: ['equal'],
  list: ['in', 'empty'],
  map: ['in', 'empty'],
  struct: [],
}

function operators(shape: Shape): readonly Operator[] {
  return shape.type === 'list' && shape.of.type === 'struct' ? ['empty'] : supported[shape.type]
}

/** What the operators are called in Consul's errors. */
const names: Readonly<Record<Operator, readonly [asked: string, negated: string]>> = {
  equal: ['Equal', 'Not Equal'],
  in: ['In', 'Not In'],
  matches: ['Matches', 'Not Matches'],
  empty: ['Is Empty', 'Is Not Empty'],
}

function compileMatch(match: Match, shape: Shape): Filter {
  const { selector, operator, negated } = match
  let selected = shape
  for (const [depth, name] of selector.entries()) {
    const next = field(selected, name)
    if (next === undefined)
      throw filterError(`Selector ${quote(selector.slice(0, depth + 1).join('.'))} is not valid`)
    selected = next
  }
  if (!operators(selected).includes(operator))
    throw filterError(
      `Invalid match operator ${quote(names[operator][negated ? 1 : 0])} for selector ${quote(selector.join('.'))}`,
    )
  const test = predicate(match, selected)
  return walk(shape, selector, negated ? (value) => !test(value) : test, holdsWhenAbsent(match))
}

function field(shape: Shape, name: string): Shape | undefined {
  if (shape.type === 'struct') return shape.fields.get(name)
  if (shape.type === 'map') return shape.of
  return shape.type === 'list' ? field(shape.of, name) : undefined
}

/** What a map has no entry for is unequal to anything, in nothing and empty. That it matches too is Consul's own. */
function holdsWhenAbsent({ operator, negated }: Match): boolean {
  return operator === 'matches' || negated !== (operator === 'empty')
}

/** Goes to what is selected: any element of a list will do. */
function walk(shape: Shape, selector: readonly string[], test: Filter, absent: boolean): Filter {
  const [name, ...rest] = selector
  if (name === undefined) return test
  if (shape.type === 'list') {
    const element = walk(shape.of, selector, test, absent)
    return (value) => elements(value).some(element)
  }
  const inner = walk(field(shape, name)!, rest, test, absent)
  const map = shape.type === 'map'
  return (value) => {
    const has = value !== null && typeof value === 'object' && Object.hasOwn(value, name)
    if (!has && map) return absent
    return inner(has ? (value as Record<string, unknown>)[name] : undefined)
  }
}

function predicate({ operator, selector, value: text }: Match, shape: Shape): Filter {
  if (operator === 'empty') return (value) => size(value) === 0
  if (operator === 'matches') {
    const expression = regularExpression(text)
    return (value) => expression.test(typeof value === 'string' ? value : '')
  }
  if (operator === 'equal') {
    const wanted = coerce(shape, text)
    if (wanted instanceof Error)
      throw filterError(
        `Failed to coerce value ${quote(text)} for selector ${quote(selector.join('.'))}: ${wanted.message}`,
      )
    return (value) => (value ?? zero[shape.type]) === wanted
  }
  if (shape.type === 'map')
    return (value) => value !== null && typeof value === 'object' && Object.hasOwn(value, text)
  if (shape.type === 'list') return (value) => elements(value).includes(text)
  return (value) => (typeof value === 'string' ? value : '').includes(text)
}

const zero: Readonly<Record<Shape['type'], unknown>> = {
  string: '',
  int: 0,
  bool: false,
  list: undefined,
  map: undefined,
  struct: undefined,
}

function coerce(shape: Shape, text: string): string | number | boolean | Error {
  if (shape.type === 'int') return parseInteger(text)
  return shape.type === 'bool' ? parseBoolean(text) : text
}

function regularExpression(text: string): RE2JS {
  try {
    return RE2JS.compile(text)
  } catch (cause) {
    const message = (cause as Error).message.replace(/end of expression$/, '$&: ``')
    throw filterError(`Failed to compile regular expression ${quote(text)}: ${message}`)
  }
}

function elements(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function size(value: unknown): number {
  if (Array.isArray(value)) return value.length
  return value !== null && typeof value === 'object' ? Object.keys(value).length : 0
}
