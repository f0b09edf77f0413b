import { RE2JS } from 're2js'
import { ConsulError } from '../answer.ts'
import type { Definition, ServiceQuery } from './definition.ts'

/** A query whose texts depend on the name that it is asked by. */
export interface Template {
  render(name: string): Definition
}

/** What stands in a text: itself, or what becomes of a name. */
type Part = string | ((name: Name) => string)

interface Name {
  readonly full: string
  readonly prefix: string
  readonly match: readonly string[]
}

export function isTemplate({ Template }: Definition): boolean {
  return Template.Type !== ''
}

/** Throws what Consul says of a template that cannot be. */
export function template(definition: Definition): Template {
  const { Type, Regexp, RemoveEmptyTags } = definition.Template
  if (Type !== 'name_prefix_match') throw bad(`Bad Template.Type '${Type}'`)
  const parts = new Map<string, readonly Part[]>()
  mapTexts(definition.Service, (text, path) => {
    parts.set(path, parse(text, path))
    return text
  })
  const expression = compile(Regexp)
  return {
    render(full) {
      const name = { full, prefix: definition.Name, match: groups(expression, full) }
      const rendered = mapTexts(definition.Service, (_text, path) =>
        parts
          .get(path)!
          .map((part) => (typeof part === 'string' ? part : part(name)))
          .join(''),
      )
      const Tags = RemoveEmptyTags ? (rendered.Tags?.filter((tag) => tag !== '') ?? null) : rendered.Tags
      return { ...definition, Service: { ...rendered, Tags } }
    },
  }
}

function compile(expression: string): RE2JS | undefined {
  if (expression === '') return undefined
  try {
    return RE2JS.compile(expression)
  } catch (error) {
    throw bad(`Bad Regexp: ${(error as Error).message}`)
  }
}

function groups(expression: RE2JS | undefined, name: string): string[] {
  const matcher = expression?.matcher(name)
  if (!matcher?.find()) return []
  return Array.from({ length: matcher.groupCount() + 1 }, (_, index) => matcher.group(index) ?? '')
}

/** Every text of the query, by where it stands. */
function mapTexts(service: ServiceQuery, map: (text: string, path: string) => string): ServiceQuery {
  const each = (texts: readonly string[] | null, path: string) =>
    texts?.map((text, index) => map(text, `${path}[${index}]`)) ?? null
  const pairs = (texts: Readonly<Record<string, string>> | null, path: string) =>
    texts &&
    Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, map(text, `${path}[${key}]`)]))
  return {
    ...service,
    Service: map(service.Service, '.Service'),
    Failover: {
      ...service.Failover,
      Datacenters: each(service.Failover.Datacenters, '.Failover.Datacenters'),
    },
    IgnoreCheckIDs: each(service.IgnoreCheckIDs, '.IgnoreCheckIDs'),
    Near: map(service.Near, '.Near'),
    Tags: each(service.Tags, '.Tags'),
    NodeMeta: pairs(service.NodeMeta, '.NodeMeta'),
    ServiceMeta: pairs(service.ServiceMeta, '.ServiceMeta'),
  }
}

/** Text, `$${`, or `${` and what stands up to the `}`; strings inside may hold braces. */
const piece = /([^$]+|\$(?!\$?\{))|(\$\$\{)|\$\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}/y

function parse(text: string, path: string): Part[] {
  const parts: Part[] = []
  piece.lastIndex = 0
  while (piece.lastIndex < text.length) {
    const start = piece.lastIndex
    const [, plain, escaped, expression] = piece.exec(text) ?? []
    if (plain !== undefined) parts.push(plain)
    else if (escaped !== undefined) parts.push('${')
    else if (expression !== undefined)
      parts.push(
        evaluate(expression, (at, problem) => wrong(text, path, start + 2 + at, problem)) ??
          malformed(text, path),
      )
    else malformed(text, path)
  }
  return parts
}

const variables: Readonly<Record<string, (name: Name) => string>> = {
  'name.full': ({ full }) => full,
  'name.prefix': ({ prefix }) => prefix,
  'name.suffix': ({ full, prefix }) => (full.startsWith(prefix) ? full.slice(prefix.length) : full),
  // There are no segments.
  'agent.segment': () => '',
}

/**
 * The part of Consul's language of templates that its documentation tells of: variables, texts, and `match(N)`. `fail`
 * throws what is wrong at a place; `undefined`: it is no such expression.
 */
function evaluate(expression: string, fail: (at: number, problem: string) => never): Part | undefined {
  const source = expression.trim()
  const at = expression.indexOf(source)
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(source)?.[1]
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1')
  const [, called, argument = ''] = /^([A-Za-z_][\w.]*)\(\s*(.*?)\s*\)$/s.exec(source) ?? []
  if (called !== undefined) {
    if (called !== 'match') return fail(at, `unknown function called: ${called}`)
    if (argument === '') return fail(at, 'match: expected 1 arguments, got 0')
    const index = /^"?(-?\d+)"?$/.exec(argument)?.[1]
    if (index !== undefined) return ({ match }) => match[Number(index)] ?? ''
    return isVariable(argument)
      ? fail(expression.indexOf(argument, at + called.length), `unknown variable accessed: ${argument}`)
      : undefined
  }
  if (!isVariable(source)) return undefined
  return Object.hasOwn(variables, source)
    ? variables[source]
    : fail(at, `unknown variable accessed: ${source}`)
}

function isVariable(source: string): boolean {
  return /^[A-Za-z_][\w.]*$/.test(source)
}

function malformed(text: string, path: string): never {
  throw bad(`Bad format '${text}' in Service${path}: parse error: syntax error`)
}

/** `at` counts letters from the beginning of the text. */
function wrong(text: string, path: string, at: number, problem: string): never {
  throw bad(`Bad evaluation for '${text}' in Service${path}: 1:${at + 1}: ${problem}`)
}

function bad(problem: string): ConsulError {
  return new ConsulError(500, `failed compiling template: ${problem}`)
}
