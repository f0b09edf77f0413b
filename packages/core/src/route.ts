import { type Duration, milliseconds } from './duration.ts'
import { invalidField } from './errors.ts'
import { checkInteger, checkList, isHost } from './fields.ts'
import { limits } from './limits.ts'
import { checkText } from './names.ts'

/** How a gateway exposes a service to the outside. */
export interface Route {
  /** The host asked for, in lower case: `shop.example`, or `*.example` for every host below it. Default any. */
  readonly host?: string
  /** What the path begins with, in whole segments: `/tickets` is for `/tickets` and `/tickets/7`, not for `/ticketshop`. */
  readonly path: string
  /** What takes the place of `path` on the way to the instance: `/` strips it. Default it stays. */
  readonly rewrite?: string
  /** Methods that are let through. Default all. */
  readonly methods?: readonly string[]
  /** Roles one of which the caller's token must have. Default: no token is asked for. */
  readonly roles?: readonly string[]
  /** Milliseconds until an answer must have begun. Default the gateway's. */
  readonly timeout?: number
  /** Further tries at other instances, 0–9. Default the gateway's. */
  readonly retries?: number
  /** Higher ones are looked at first, whatever their host and path; −1,000 to 1,000. Default 0. */
  readonly priority?: number
}

/** A route as people write it. */
export type RouteInput = { readonly [K in keyof Omit<Route, 'timeout'>]?: Route[K] | undefined } & {
  /** In ms, or as `"2s"`. */
  readonly timeout?: Duration | undefined
}

/** Each field, with how it is checked. */
const fields: { readonly [K in keyof Route]-?: (field: string, value: unknown) => Route[K] } = {
  host: (field, value) => {
    checkText(field, value, limits.addressBytes)
    const host = value.toLowerCase()
    if (!isHost(host.replace(/^\*\./, '')))
      throw invalidField(field, 'must be a host such as "shop.example", or "*.example" for all below it')
    return host
  },
  path: checkedPath,
  rewrite: checkedPath,
  methods: (field, value) =>
    names(
      field,
      value,
      limits.routeMethods,
      (name) => /^[A-Z]+(-[A-Z]+)*$/.test(name),
      'a method, such as "GET"',
    ),
  roles: (field, value) =>
    names(field, value, limits.routeRoles, (name) => name !== '', 'the name of a role'),
  timeout: (field, value) => integer(field, milliseconds(field, value as Duration), 1, limits.ttl),
  retries: (field, value) => integer(field, value, 0, 9),
  priority: (field, value) => integer(field, value, -1_000, 1_000),
}

/** Checks a route and completes it with its default, the path `/`. The result is frozen. Throws `invalid_field`. */
export function route(path: string, input: unknown): Route {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw invalidField(path, 'must be an object')
  for (const field of Object.keys(input))
    if (!Object.hasOwn(fields, field)) throw invalidField(`${path}/${field}`, 'is not a field of a route')
  const given: Record<string, unknown> = { path: '/', ...input }
  const checked: Record<string, unknown> = {}
  for (const [field, check] of Object.entries(fields)) {
    const value = given[field]
    if (value !== undefined) checked[field] = check(`${path}/${field}`, value)
  }
  return Object.freeze(checked) as unknown as Route
}

/** A path as a URL has it after everything in it was resolved, without the slash at its end. */
function checkedPath(field: string, value: unknown): string {
  checkText(field, value, limits.routePathBytes)
  const url = `http://host${value}`
  const isPath = value.startsWith('/') && URL.canParse(url) && new URL(url).pathname === value
  if (!isPath || /%(?![0-9a-f]{2})/i.test(value))
    throw invalidField(
      field,
      'must be a path as in a URL, such as "/tickets": percent-encoded, without "." and ".." segments, query and fragment',
    )
  return value === '/' ? value : value.replace(/\/$/, '')
}

function names(
  field: string,
  value: unknown,
  most: number,
  isOne: (name: string) => boolean,
  what: string,
): readonly string[] {
  checkList(field, value, most)
  for (const [index, name] of value.entries()) {
    checkText(`${field}/${index}`, name, limits.nameBytes)
    if (!isOne(name)) throw invalidField(`${field}/${index}`, `must be ${what}`)
  }
  if (value.length === 0) throw invalidField(field, 'must not be empty')
  return Object.freeze([...new Set(value as string[])])
}

function integer(field: string, value: unknown, least: number, most: number): number {
  checkInteger(field, value, least, most)
  return value
}
