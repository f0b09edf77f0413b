import { type CheckInput, limits } from '@seamark/core'
import type { CheckPolicy } from '../checks/target-policy.ts'
import { ConsulError } from './answer.ts'
import { anything, boolean, duration, integer, list, map, object, type Shape, text } from './body.ts'
import { reservedChecks } from './check.ts'
import type { CheckRecord } from './record.ts'

/** A check as Consul's clients write it. */
export interface CheckDefinition extends Record<string, unknown> {
  ID: string
  CheckID: string
  Name: string
  Notes: string
  Status: string
  ServiceID: string
  TTL: number
  Interval: number
  Timeout: number
  DeregisterCriticalServiceAfter: number
  HTTP: string
  Method: string
  Header: Record<string, string[]>
  Body: string
  TLSSkipVerify: boolean
  TCP: string
  GRPC: string
  GRPCUseTLS: boolean
  Args: string[]
  ScriptArgs: string[]
  DockerContainerID: string
  Shell: string
  AliasNode: string
  AliasService: string
  SuccessBeforePassing: number
  FailuresBeforeCritical: number
  OutputMaxSize: number
}

const fields: { [K in keyof CheckDefinition]: Shape<CheckDefinition[K]> } = {
  Name: text,
  Notes: text,
  Status: text,
  TTL: duration,
  Interval: duration,
  Timeout: duration,
  DeregisterCriticalServiceAfter: duration,
  HTTP: text,
  Method: text,
  Header: map(list(text), 'map[string][]string'),
  Body: text,
  TLSSkipVerify: boolean,
  TCP: text,
  GRPC: text,
  GRPCUseTLS: boolean,
  Args: list(text),
  ScriptArgs: list(text),
  DockerContainerID: text,
  Shell: text,
  AliasNode: text,
  AliasService: text,
  SuccessBeforePassing: integer,
  FailuresBeforeCritical: integer,
  OutputMaxSize: integer,
} as { [K in keyof CheckDefinition]: Shape<CheckDefinition[K]> }

/** What Consul takes, and what later versions of it do: those are looked over. */
const ignored = {
  Token: text,
  ProxyHTTP: text,
  ProxyGRPC: text,
  Namespace: text,
  Partition: text,
  FailuresBeforeWarning: integer,
  TLSServerName: text,
  DisableRedirects: boolean,
}

/** A check inside a service. */
export const serviceCheck = object<Partial<CheckDefinition>>(
  { ...fields, ...ignored, CheckID: text, ServiceID: text } as never,
  { strict: true },
)

/** A check by itself. */
export const ownCheck = object<Partial<CheckDefinition>>(
  { ...fields, ...ignored, ID: text, ServiceID: text, Type: text, Definition: anything } as never,
  { strict: true },
)

export const statuses: ReadonlySet<string> = new Set(['passing', 'warning', 'critical'])

/** Whether it says nothing at all: then Consul takes it for none. */
export function isEmpty(check: Partial<CheckDefinition>): boolean {
  return Object.values(check).every(
    (value) =>
      value === '' ||
      value === 0 ||
      value === false ||
      (typeof value === 'object' && Object.keys(value as object).length === 0),
  )
}

/** Throws what Consul says to checks that make no sense. */
export function validateCheck(check: Partial<CheckDefinition>): void {
  const { Interval = 0, TTL = 0, OutputMaxSize = 0 } = check
  const isScript = argsOf(check).length > 0
  const runs = isScript || Boolean(check.HTTP) || Boolean(check.TCP) || Boolean(check.GRPC)
  const alias = isAlias(check)
  const problem =
    Interval > 0 && TTL > 0
      ? 'Interval and TTL cannot both be specified'
      : runs && Interval <= 0
        ? 'Interval must be > 0 for Script, HTTP, or TCP checks'
        : runs && alias
          ? 'Interval cannot be set for Alias checks'
          : alias && TTL > 0
            ? 'TTL must be not be set for Alias checks'
            : !runs && !alias && TTL <= 0
              ? 'TTL must be > 0 for TTL checks'
              : OutputMaxSize < 0
                ? 'MaxOutputMaxSize must be positive'
                : undefined
  if (problem !== undefined) throw new ConsulError(400, `Invalid check: ${problem}`)
}

function argsOf({ Args = [], ScriptArgs = [] }: Partial<CheckDefinition>): string[] {
  return Args.length > 0 ? Args : ScriptArgs
}

function isAlias({ AliasNode, AliasService }: Partial<CheckDefinition>): boolean {
  return Boolean(AliasNode) || Boolean(AliasService)
}

/** Consul's names of the types, in the order in which it looks for them. */
function typeOf(check: Partial<CheckDefinition>): string {
  if (check.GRPC) return 'grpc'
  if (check.HTTP) return 'http'
  if ((check.TTL ?? 0) > 0) return 'ttl'
  if (check.TCP) return 'tcp'
  if (isAlias(check)) return 'alias'
  return check.DockerContainerID ? 'docker' : 'script'
}

/** Milliseconds: Consul's shortest (`agent/agent.go`). */
const shortestInterval = 1_000
const shortestDeregister = 60_000

/** The check as our instance has it, and what Consul says beyond it. Throws what Consul says to checks that are not allowed. */
export function translatedCheck(
  check: Partial<CheckDefinition>,
  id: string,
  name: string,
  { allowCommandChecks }: CheckPolicy,
): { readonly check: CheckInput; readonly record: CheckRecord } {
  if (reservedChecks.has(id)) throw new ConsulError(400, `Invalid check: the ID "${id}" is taken`)
  const type = typeOf(check)
  if ((type === 'script' || type === 'docker') && !allowCommandChecks)
    throw new ConsulError(
      500,
      "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true",
    )
  if (type === 'docker') throw new ConsulError(400, 'Invalid check: Docker checks are not supported')
  if (check.Body) throw new ConsulError(400, 'Invalid check: Body is not supported')
  const { DeregisterCriticalServiceAfter: after = 0, Notes = '', Status = '' } = check
  const deregisterAfter =
    after > 0 ? Math.min(Math.max(after, shortestDeregister), 30 * limits.ttl) : undefined
  const record: CheckRecord = {
    name,
    type,
    ...(Notes !== '' && { notes: Notes }),
    ...(type === 'ttl' && { ttl: check.TTL! }),
    ...(type === 'alias' && {
      alias: {
        ...(check.AliasNode && { node: check.AliasNode }),
        ...(check.AliasService && { service: check.AliasService }),
      },
    }),
  }
  const initial = statuses.has(Status) ? (Status as 'passing' | 'warning' | 'critical') : undefined
  if (type === 'ttl' || type === 'alias')
    return {
      check: { type: 'reported', id, initial },
      record:
        deregisterAfter === undefined ? record : { ...record, deregisterAfter: Math.round(deregisterAfter) },
    }
  const interval = Math.round(Math.min(Math.max(check.Interval!, shortestInterval), limits.ttl))
  const timeout = check.Timeout && check.Timeout > 0 ? Math.max(1, Math.round(check.Timeout)) : 10_000
  return {
    check: {
      ...kindOf(check, type),
      id,
      initial,
      interval,
      timeout: Math.min(timeout, interval),
      successThreshold: bounded(check.SuccessBeforePassing),
      failureThreshold: bounded(check.FailuresBeforeCritical),
      deregisterAfter: deregisterAfter && Math.round(deregisterAfter),
    },
    record,
  }
}

/** Results in a row; 0 and 1 both mean the first. */
function bounded(count = 0): number {
  return Math.min(Math.max(count, 1), 100)
}

function kindOf(check: Partial<CheckDefinition>, type: string): CheckInput {
  if (type === 'http') {
    const headers = Object.entries(check.Header ?? {}).map(
      ([name, values]) => [name, values.join(', ')] as const,
    )
    return {
      type: 'http',
      url: check.HTTP,
      method: check.Method ? check.Method.toUpperCase() : undefined,
      headers: Object.fromEntries(headers),
    }
  }
  if (type === 'tcp') return { type: 'tcp', target: check.TCP }
  if (type === 'grpc') {
    const [target, ...service] = check.GRPC!.split('/')
    return { type: 'grpc', target, service: service.join('/'), tls: check.GRPCUseTLS }
  }
  return { type: 'command', command: argsOf(check) }
}
