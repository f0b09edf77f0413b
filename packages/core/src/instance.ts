import { parse } from 'semver'
import { invalidField } from './errors.ts'
import { checkAddress, checkInteger, checkList, isHost } from './fields.ts'
import { type HealthStatus, maintenanceCheck } from './health.ts'
import { limits } from './limits.ts'
import { checkName, checkText, type InstanceKey } from './names.ts'
import { type Route, type RouteInput, route } from './route.ts'

/** What its owner says of an instance. Immutable: a change is a new value under the same key. */
export interface Instance extends InstanceKey {
  /** An IP address or a host name. */
  readonly address: string
  /** 1–65535; 0 means none, only where a foreign model allows it. */
  readonly port: number
  /** `http`, `https`, `grpc`, `tcp`, … */
  readonly scheme: string
  /** A semantic version, such as `2.1.0`. */
  readonly version?: string
  /** Where it runs; callers of the same zone may prefer it. */
  readonly zone?: string
  /** Its share of the requests, 0–65535; 0 gets none while others have more. */
  readonly weight: number
  readonly tags: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly checks: readonly CheckDefinition[]
  /** How gateways expose it. Default not at all. */
  readonly route?: Route
}

/** What a check may begin as. */
export type InitialStatus = Exclude<HealthStatus, 'maintenance'>

interface CheckBase {
  /** Unique in the instance. */
  readonly id: string
  /** What it counts as until its first result. Default critical: nobody is sent to an instance that was never seen alive. */
  readonly initial?: InitialStatus
  /** Milliseconds of being critical without a break after which the instance is deregistered. Default never. */
  readonly deregisterAfter?: number
}

/** When a check runs, and what it takes to change its mind. */
interface CheckSchedule extends CheckBase {
  /** Milliseconds between two runs, at least 1,000. */
  readonly interval: number
  /** Milliseconds after which a run has failed, at most the interval. */
  readonly timeout: number
  /** Successes in a row that it takes to become passing, 1–100. */
  readonly successThreshold: number
  /** Failures in a row that it takes to become critical, 1–100. */
  readonly failureThreshold: number
}

/** 2xx passes, 429 warns, all else is critical. */
export interface HttpCheck extends CheckSchedule {
  readonly type: 'http'
  /** Absolute, or from the instance's own origin: `/healthz`. */
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
}

/** A connection that opens passes. */
export interface TcpCheck extends CheckSchedule {
  readonly type: 'tcp'
  /** `host:port`; default the instance's own. */
  readonly target?: string
}

/** gRPC's health protocol (grpc.health.v1): SERVING passes. */
export interface GrpcCheck extends CheckSchedule {
  readonly type: 'grpc'
  /** `host:port`; default the instance's own. */
  readonly target?: string
  /** The service asked for; default the whole server. */
  readonly service: string
  readonly tls: boolean
}

/** A command of the server's machine, off unless the server allows it: exit code 0 passes, 1 warns, all else is critical. */
export interface CommandCheck extends CheckSchedule {
  readonly type: 'command'
  /** The program and its arguments; no shell. */
  readonly command: readonly string[]
}

/** Its results come from outside, through `Registry.report`. */
export interface ReportedCheck extends CheckBase {
  readonly type: 'reported'
  /** Milliseconds after its last report when it turns critical, at least 1,000. Default never. */
  readonly ttl?: number
}

/** A check that a server runs. */
export type ScheduledCheck = HttpCheck | TcpCheck | GrpcCheck | CommandCheck

export type CheckDefinition = ScheduledCheck | ReportedCheck

type Loose<T> = { readonly [K in keyof T]?: T[K] | undefined }
/** A check as people write it: all but its type and what it looks at has a default. */
export type CheckInput = { readonly type: CheckDefinition['type'] } & Loose<
  Omit<HttpCheck, 'type'> &
    Omit<TcpCheck, 'type'> &
    Omit<GrpcCheck, 'type'> &
    Omit<CommandCheck, 'type'> &
    Omit<ReportedCheck, 'type'>
>

/** An instance as people write it: all but its key, address and port has a default. */
export type InstanceInput = InstanceKey &
  Pick<Instance, 'address' | 'port'> &
  Loose<Omit<Instance, keyof InstanceKey | 'address' | 'port' | 'checks' | 'route'>> & {
    readonly checks?: readonly CheckInput[] | undefined
    readonly route?: RouteInput | undefined
  }

const none: readonly never[] = Object.freeze([])
const noMetadata: Readonly<Record<string, string>> = Object.freeze({})

const schemeRule = /^[a-z][a-z0-9+.-]*$/

export const instanceFields: ReadonlySet<string> = new Set([
  'namespace',
  'service',
  'id',
  'address',
  'port',
  'scheme',
  'version',
  'zone',
  'weight',
  'tags',
  'metadata',
  'checks',
  'route',
])

/**
 * Checks an instance and completes it with its defaults: scheme `http`, weight 1, nothing else. The result is frozen.
 * Names are held to the wide rule (see `names.ts`): who faces people checks the strict one before.
 * Throws `invalid_field`.
 */
export function instance(input: InstanceInput): Instance {
  for (const field of Object.keys(input))
    if (!instanceFields.has(field)) throw invalidField(field, 'is not a field of an instance')
  const { namespace, service, id, address, port, scheme = 'http', version, zone, weight = 1 } = input
  checkName('namespace', namespace)
  checkName('service', service)
  checkName('id', id)
  checkAddress('address', address)
  checkInteger('port', port, 0, 65_535)
  checkText('scheme', scheme, limits.schemeBytes)
  if (!schemeRule.test(scheme))
    throw invalidField('scheme', 'must be a URL scheme in lower case, such as "http"')
  if (version !== undefined) checkVersion('version', version)
  if (zone !== undefined) checkName('zone', zone)
  checkInteger('weight', weight, 0, limits.weight)
  return Object.freeze({
    namespace,
    service,
    id,
    address,
    port,
    scheme,
    ...(version !== undefined && { version }),
    ...(zone !== undefined && { zone }),
    weight,
    tags: tags(input.tags),
    metadata: metadata(input.metadata),
    checks: checks(input.checks),
    ...(input.route !== undefined && { route: route('route', input.route) }),
  })
}

function checkVersion(field: string, value: unknown): asserts value is string {
  checkText(field, value, limits.versionBytes)
  if (!/^\d/.test(value) || parse(value) === null)
    throw invalidField(field, 'must be a semantic version, such as "2.1.0"')
}

function tags(input: readonly string[] | undefined): readonly string[] {
  if (input === undefined) return none
  checkList('tags', input, limits.tags)
  if (input.length === 0) return none
  for (const [index, tag] of input.entries()) {
    checkText(`tags/${index}`, tag, limits.tagBytes)
    if (tag === '') throw invalidField(`tags/${index}`, 'must not be empty')
  }
  return Object.freeze([...new Set(input)])
}

function metadata(input: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  if (input === undefined) return noMetadata
  return strings('metadata', input)
}

function strings(field: string, input: unknown): Readonly<Record<string, string>> {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw invalidField(field, 'must be an object whose values are strings')
  const pairs = Object.entries(input)
  if (pairs.length === 0) return noMetadata
  if (pairs.length > limits.metadataPairs)
    throw invalidField(field, `must have at most ${limits.metadataPairs} pairs`)
  for (const [key, value] of pairs) {
    checkText(field, key, limits.metadataKeyBytes)
    if (key === '' || key === '__proto__') throw invalidField(field, `must not have the key "${key}"`)
    checkText(`${field}/${key}`, value, limits.metadataValueBytes)
  }
  return Object.freeze(Object.fromEntries(pairs))
}

function checks(input: readonly CheckInput[] | undefined): readonly CheckDefinition[] {
  if (input === undefined) return none
  checkList('checks', input, limits.checks)
  if (input.length === 0) return none
  const ids = new Set<string>()
  return Object.freeze(
    input.map((check, index) => {
      const definition = checkDefinition(`checks/${index}`, check)
      if (ids.has(definition.id)) throw invalidField(`checks/${index}/id`, 'is the id of another check too')
      ids.add(definition.id)
      return definition
    }),
  )
}

/** Fields of a check, with how each is checked and what it defaults to. */
type CheckFields = Record<string, (field: string, value: unknown, check: CheckInput) => unknown>

const base: CheckFields = {
  initial: (field, value) => {
    if (value !== undefined && value !== 'passing' && value !== 'warning' && value !== 'critical')
      throw invalidField(field, 'must be passing, warning or critical')
    return value
  },
  deregisterAfter: (field, value) => {
    if (value !== undefined) checkInteger(field, value, 1_000, 30 * limits.ttl)
    return value
  },
}

const schedule: CheckFields = {
  interval: (field, value = 10_000) => {
    checkInteger(field, value, 1_000, limits.ttl)
    return value
  },
  // Consul's checks default to 10 s as well.
  timeout: (field, value, { interval = 10_000 }) => {
    checkInteger(field, value ?? Math.min(interval, 10_000), 1, interval)
    return value ?? Math.min(interval, 10_000)
  },
  successThreshold: (field, value = 1) => {
    checkInteger(field, value, 1, 100)
    return value
  },
  failureThreshold: (field, value = 1) => {
    checkInteger(field, value, 1, 100)
    return value
  },
}

const checkFields: Record<CheckDefinition['type'], CheckFields> = {
  http: {
    ...schedule,
    url: (field, value) => {
      checkText(field, value, 2_048)
      if (!value.startsWith('/') && !/^https?:\/\//.test(value))
        throw invalidField(field, 'must be a path such as "/healthz", or a URL with http or https')
      if (!URL.canParse(value, 'http://localhost')) throw invalidField(field, 'must be a URL')
      return value
    },
    method: (field, value = 'GET') => {
      if (value !== 'GET' && value !== 'HEAD' && value !== 'OPTIONS' && value !== 'POST')
        throw invalidField(field, 'must be GET, HEAD, OPTIONS or POST')
      return value
    },
    headers: (field, value = noMetadata) => {
      const headers = strings(field, value)
      for (const name of Object.keys(headers))
        if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name))
          throw invalidField(`${field}/${name}`, 'is not a header name')
      return headers
    },
  },
  tcp: { ...schedule, target: optionalTarget },
  grpc: {
    ...schedule,
    target: optionalTarget,
    service: (field, value = '') => {
      checkText(field, value, limits.nameBytes)
      return value
    },
    tls: (field, value = false) => {
      if (typeof value !== 'boolean') throw invalidField(field, 'must be true or false')
      return value
    },
  },
  command: {
    ...schedule,
    command: (field, value) => {
      checkList(field, value, 64)
      if (value.length === 0) throw invalidField(field, 'must name a program')
      for (const [index, part] of value.entries()) checkText(`${field}/${index}`, part, 4_096)
      return Object.freeze([...value])
    },
  },
  reported: {
    ttl: (field, value) => {
      if (value !== undefined) checkInteger(field, value, 1_000, limits.ttl)
      return value
    },
  },
}

function optionalTarget(field: string, value: unknown): string | undefined {
  if (value === undefined) return undefined
  checkText(field, value, limits.addressBytes + 8)
  const { host, port } = splitTarget(value)
  if (!isHost(host) || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw invalidField(field, 'must be host:port')
  return value
}

/** Takes `host:port` or `[::1]:port` apart. */
export function splitTarget(target: string): { host: string; port: number } {
  const at = target.lastIndexOf(':')
  const host = target.slice(0, Math.max(at, 0)).replace(/^\[(.*)\]$/, '$1')
  return { host, port: /^\d{1,5}$/.test(target.slice(at + 1)) ? Number(target.slice(at + 1)) : Number.NaN }
}

function checkDefinition(path: string, input: CheckInput): CheckDefinition {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw invalidField(path, 'must be an object')
  const { type, id = type } = input
  const own = Object.hasOwn(checkFields, type) ? checkFields[type] : undefined
  if (own === undefined)
    throw invalidField(`${path}/type`, `must be one of ${Object.keys(checkFields).join(', ')}`)
  checkName(`${path}/id`, id)
  if (id === maintenanceCheck) throw invalidField(`${path}/id`, `must not be "${maintenanceCheck}"`)
  for (const field of Object.keys(input))
    if (field !== 'type' && field !== 'id' && !Object.hasOwn(base, field) && !Object.hasOwn(own, field))
      throw invalidField(`${path}/${field}`, `is not a field of a check of type ${type}`)
  const definition: Record<string, unknown> = { id, type }
  for (const [field, check] of Object.entries({ ...base, ...own })) {
    const value = check(`${path}/${field}`, input[field as keyof CheckInput], input)
    if (value !== undefined) definition[field] = value
  }
  return Object.freeze(definition) as unknown as CheckDefinition
}
