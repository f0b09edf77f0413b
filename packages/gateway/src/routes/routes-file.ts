import { dirname } from 'node:path'
import {
  checkName,
  checkText,
  defaultNamespace,
  invalidField,
  isSeamarkError,
  limits,
  type Route,
  route,
  SeamarkError,
  type Selection,
  type ServiceKey,
  serviceId,
} from '@seamark/core'
import { type AccessSetting, accessSetting } from '../access/access-setting.ts'
import type { Policy } from '../policy/policy.ts'
import { policy, selection } from '../policy/policy-input.ts'
import type { Rule } from '../ports.ts'
import { ruleName } from './rule.ts'

/** What a routes file says. */
export interface RoutesFile {
  /** In its order. */
  readonly rules: readonly Rule[]
  /** Policies of the routes that instances say, by the id of their service. */
  readonly policies: ReadonlyMap<string, Policy>
  readonly access: AccessSetting | undefined
}

/** Says nothing. */
export const noRoutesFile: RoutesFile = { rules: [], policies: new Map(), access: undefined }

const routeFields = ['host', 'path', 'rewrite', 'methods', 'roles', 'timeout', 'retries', 'priority']
const policyFields = ['concurrency', 'rate', 'circuit', 'fallback', 'canary']
const entryFields = ['service', ...routeFields, 'filter', ...policyFields]

/** Problems that are told at once: more than that are one, such as the wrong file. */
const told = 20

/**
 * Reads the text of a routes file; `path` is where it lies, which paths in it are relative to. Throws `configuration` with all
 * that is wrong in it.
 */
export function routesFile(path: string, text: string): RoutesFile {
  const problems: string[] = []
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      if (!isSeamarkError(error, 'invalid_field')) throw error
      problems.push(error.message)
      return undefined
    }
  }
  const { routes = [], services = {}, access } = topLevel(path, text)
  const rules: Rule[] = []
  const policies = new Map<string, Policy>()
  for (const [index, value] of list('routes', routes, attempt))
    attempt(() => rules.push(rule(`routes/${index}`, value, path)))
  for (const [name, value] of Object.entries(attempt(() => object('services', services)) ?? {}))
    attempt(() =>
      policies.set(serviceId(serviceKey(`services/${name}`, name)), policy(`services/${name}`, value)),
    )
  const setting = attempt(() =>
    access === undefined ? undefined : accessSetting('access', access, dirname(path)),
  )
  if (problems.length > 0) throw wrong(path, problems)
  return { rules, policies, access: setting }
}

function topLevel(path: string, text: string): Readonly<Record<string, unknown>> {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (cause) {
    throw new SeamarkError('configuration', `${path} is not JSON: ${place(cause as Error, text)}.`, { cause })
  }
  const fields = ['routes', 'services', 'access']
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw wrong(path, [`it must be an object with ${fields.join(', ')}`])
  const unknown = Object.keys(document).filter((field) => !fields.includes(field))
  if (unknown.length > 0)
    throw wrong(
      path,
      unknown.map((field) => `${field} is none of its fields: ${fields.join(', ')}`),
    )
  return document as Readonly<Record<string, unknown>>
}

/** Node says where in different ways, and not always. */
function place({ message }: Error, text: string): string {
  const at = /at position (\d+)/.exec(message)?.[1]
  if (at === undefined || message.includes('line')) return message
  const before = text.slice(0, Number(at)).split('\n')
  return `${message} (line ${before.length}, column ${before.at(-1)!.length + 1})`
}

function list(
  field: string,
  value: unknown,
  attempt: <T>(read: () => T) => T | undefined,
): Iterable<readonly [number, unknown]> {
  const elements = attempt(() => {
    if (!Array.isArray(value)) throw invalidField(field, 'must be an array')
    return value as readonly unknown[]
  })
  return elements?.entries() ?? []
}

function object(field: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalidField(field, 'must be an object')
  return value as Readonly<Record<string, unknown>>
}

function rule(field: string, value: unknown, origin: string): Rule {
  const input = object(field, value)
  for (const name of Object.keys(input))
    if (!entryFields.includes(name))
      throw invalidField(`${field}/${name}`, `is no field of a route: ${entryFields.join(', ')}`)
  if (input.service === undefined)
    throw invalidField(`${field}/service`, 'is missing: which service it leads to')
  const service = serviceKey(`${field}/service`, input.service)
  const said: Route = route(field, pick(input, routeFields))
  const filter: Selection | undefined =
    input.filter === undefined ? undefined : selection(`${field}/filter`, input.filter)
  return Object.freeze({
    name: ruleName(service, said),
    route: said,
    service,
    filter,
    policy: policy(field, pick(input, policyFields)),
    origin,
  })
}

function pick(input: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(input).filter(([name]) => names.includes(name)))
}

/** `tickets`, or `test.shop/tickets` in another namespace than the default one. */
function serviceKey(field: string, value: unknown): ServiceKey {
  checkText(field, value, limits.nameBytes * 2 + 1)
  const slash = value.indexOf('/')
  const namespace = slash < 0 ? defaultNamespace : value.slice(0, slash)
  const service = value.slice(slash + 1)
  checkName(field, namespace)
  checkName(field, service)
  return Object.freeze({ namespace, service })
}

function wrong(path: string, problems: readonly string[]): SeamarkError {
  const shown = problems.slice(0, told)
  const more = problems.length > told ? [`… and ${problems.length - told} more`] : []
  const text = [...shown, ...more].map((line) => `\n  ${line}`).join('')
  return new SeamarkError('configuration', `The routes file ${path} is wrong:${text}`, {
    details: { problems: shown },
  })
}
