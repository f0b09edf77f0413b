import { isIP } from 'node:net'
import { ConsulError } from './answer.ts'
import { anyObject, anything, boolean, integer, list, map, object, text, texts } from './body.ts'
import { type CheckDefinition, isEmpty, serviceCheck, statuses, validateCheck } from './check-definition.ts'
import type { ServiceAddress } from './record.ts'

const address = object<{ Address: string; Port: number }>(
  { Address: text, Port: integer },
  { struct: 'structs.ServiceAddress', strict: true },
)

/** A service as Consul's clients write it. */
export interface ServiceDefinition {
  Kind?: string
  ID?: string
  Name?: string
  Tags?: string[]
  Address?: string
  TaggedAddresses?: Record<string, Partial<ServiceAddress>>
  Meta?: Record<string, string>
  Port?: number
  Weights?: { Passing?: number; Warning?: number }
  EnableTagOverride?: boolean
  Check?: Partial<CheckDefinition>
  Checks?: Partial<CheckDefinition>[]
  Proxy?: Record<string, unknown>
  Connect?: Record<string, unknown>
}

export const weights = object(
  { Passing: integer, Warning: integer },
  { struct: 'structs.Weights', strict: true },
)
export const taggedAddresses = map(address, 'structs.ServiceAddress')

/** The body of `/v1/agent/service/register`: what Consul takes, and what later versions of it do, which is looked over. */
export const serviceDefinition = object(
  {
    Kind: text,
    ID: text,
    Name: text,
    Tags: list(text),
    Address: text,
    TaggedAddresses: taggedAddresses,
    Meta: texts,
    Port: integer,
    Weights: weights,
    EnableTagOverride: boolean,
    Check: serviceCheck,
    Checks: list(serviceCheck, 'structs.CheckTypes'),
    Proxy: anyObject,
    Connect: anyObject,
    Token: text,
    Namespace: text,
    Partition: text,
    Locality: anything,
    SocketPath: text,
  },
  { strict: true },
)

/** Checks what Consul checks, in its order and with its words; answers the checks. */
export function validateService(service: ServiceDefinition): Partial<CheckDefinition>[] {
  if (!service.Name) throw new ConsulError(400, 'Missing service name')
  if (isAny(service.Address)) throw new ConsulError(400, 'Invalid service address')
  if (service.Weights !== undefined) validateWeights(service.Weights)
  validateMeta(service.Meta ?? {})
  validateProxy(service, 400)
  const checks = [
    ...(service.Check === undefined || isEmpty(service.Check) ? [] : [service.Check]),
    ...(service.Checks ?? []),
  ]
  for (const check of checks) validateCheck(check)
  if (checks.some(({ Status = '' }) => Status !== '' && !statuses.has(Status)))
    throw new ConsulError(400, "Status for checks must 'passing', 'warning', 'critical'")
  return checks
}

/** `0.0.0.0` and `::` are no addresses that one could be reached at. */
export function isAny(address: string | undefined): boolean {
  if (address === undefined || isIP(address) === 0) return false
  return isIP(address) === 4 ? address === '0.0.0.0' : /^[0:]+$/.test(address)
}

function validateWeights({ Passing = 0, Warning = 0 }: { Passing?: number; Warning?: number }): void {
  const problem =
    Passing < 1
      ? 'Passing must be greater than 0'
      : Warning < 0
        ? 'Warning must be greater or equal than 0'
        : Passing > 65_535 || Warning > 65_535
          ? 'DNS Weight must be between 0 and 65535'
          : undefined
  if (problem !== undefined) throw new ConsulError(400, `Invalid Weights: ${problem}`)
}

function validateMeta(meta: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(meta)
  const problem =
    pairs.length > 64 ? 'Node metadata cannot contain more than 64 key/value pairs' : firstProblem(pairs)
  if (problem !== undefined) throw new ConsulError(400, `Invalid Service Meta: ${problem}`)
}

function firstProblem(pairs: readonly (readonly [string, string])[]): string | undefined {
  for (const [key, value] of pairs) {
    const problem = pairProblem(key, value)
    if (problem !== undefined) return `Couldn't load metadata pair ('${key}', '${value}'): ${problem}`
  }
  return undefined
}

/** Consul's rules (`agent/structs/structs.go`). */
function pairProblem(key: string, value: string): string | undefined {
  if (key === '') return 'Key cannot be blank'
  if (!/^[a-zA-Z0-9_-]+$/.test(key)) return 'Key contains invalid characters'
  if (key.length > 128) return 'Key is too long (limit: 128 characters)'
  if (key.startsWith('consul-')) return `Key prefix 'consul-' is reserved for internal use`
  if (Buffer.byteLength(value) > 512) return 'Value is too long (limit: 512 characters)'
  return undefined
}

/** Consul's rules for proxies of Connect. Throws `status`. */
export function validateProxy(
  { Kind, Port = 0, Proxy: proxy = {}, Connect: connect = {} }: ServiceDefinition,
  status: 400 | 500,
): void {
  if (Kind !== 'connect-proxy') return
  const problems = [
    ...(asText(proxy.DestinationServiceName).trim() === ''
      ? ['Proxy.DestinationServiceName must be non-empty for Connect proxy services']
      : []),
    ...(Port === 0 ? ['Port must be set for a Connect proxy'] : []),
    ...(connect.Native === true ? ['A Proxy cannot also be ConnectNative, only typical services'] : []),
  ]
  if (problems.length === 0) return
  const count = problems.length === 1 ? '1 error' : `${problems.length} errors`
  throw new ConsulError(
    status,
    `${count} occurred:\n${problems.map((problem) => `\t* ${problem}\n`).join('')}\n`,
  )
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
