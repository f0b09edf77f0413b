import {
  checkText,
  defaultNamespace,
  type Health,
  type HealthStatus,
  healthStatuses,
  type Instance,
  instance,
  limits,
  maintenanceCheck,
  passing,
  reported,
} from '@seamark/core'
import { nodeMark } from './mirror.ts'

export interface NodeRow {
  readonly Node: string
  readonly Address: string
  readonly Meta?: Readonly<Record<string, string>> | null
}

export interface ServiceRow {
  readonly ID: string
  readonly Service: string
  readonly Kind?: string
  readonly Address?: string
  readonly Port?: number
  readonly Tags?: readonly string[] | null
  readonly Meta?: Readonly<Record<string, string>> | null
  readonly Weights?: { readonly Passing?: number } | null
  readonly CreateIndex: number
  readonly ModifyIndex: number
}

export interface CheckRow {
  readonly CheckID: string
  readonly ServiceID: string
  readonly Status: string
  readonly Output?: string
  readonly Notes?: string
  readonly ModifyIndex?: number
}

/** An instance that others registered in Consul: a row of `/v1/health/service`. */
export interface Row {
  readonly Node: NodeRow
  readonly Service: ServiceRow
  readonly Checks: readonly CheckRow[]
}

/** A node of `/v1/internal/ui/nodes`, which has everything. */
export interface NodeDump extends NodeRow {
  readonly Services: readonly ServiceRow[] | null
  readonly Checks: readonly CheckRow[] | null
}

/** The rows of one service, as `/v1/health/service` would answer them. */
export function rowsOf(dump: readonly NodeDump[]): Row[] {
  return dump.flatMap(({ Services, Checks, Node, Address, Meta = null }) =>
    (Services ?? []).map((Service) => ({
      Node: { Node, Address, Meta },
      Service,
      Checks: (Checks ?? []).filter(({ ServiceID }) => ServiceID === '' || ServiceID === Service.ID),
    })),
  )
}

/** Whether it is there to be called, and not Seamark's: proxies and gateways of Consul's mesh are not what callers look for. */
export function isForeign({ Node, Service }: Row): boolean {
  return !Service.Kind && Node.Meta?.[nodeMark] === undefined
}

/** In Consul, an id is one node's: nodes that each have one `web` call it `web`. */
export function foreignId({ Node, Service }: Row): string {
  return `${Node.Node}/${Service.ID}`
}

/** Of the last change that its rows tell of. */
export function modifiedIndex({ Service, Checks }: Row): number {
  return Math.max(Service.ModifyIndex, ...Checks.map(({ ModifyIndex = 0 }) => ModifyIndex))
}

/** Throws `invalid_field` when Seamark cannot show it: an address that is none, a name that is too long. */
export function foreignInstance(row: Row): Instance {
  const { Node, Service } = row
  const meta = Service.Meta ?? {}
  const base = {
    namespace: defaultNamespace,
    service: Service.Service,
    id: foreignId(row),
    address: Service.Address || Node.Address,
    port: Service.Port ?? 0,
    weight: Service.Weights?.Passing ?? 1,
    tags: (Service.Tags ?? []).filter((tag) => fits(tag, limits.tagBytes)).slice(0, limits.tags),
    metadata: Object.fromEntries(
      Object.entries(meta)
        .filter(([key, value]) => fits(key, limits.metadataKeyBytes) && key !== '__proto__' && isText(value))
        .slice(0, limits.metadataPairs),
    ),
  }
  // Spring Cloud and others write these; who means something else by them is not believed.
  const said = {
    ...(meta.secure === 'true' && { scheme: 'https' }),
    ...(meta.scheme !== undefined && { scheme: meta.scheme }),
    ...(meta.version !== undefined && { version: meta.version }),
    ...(meta.zone !== undefined && { zone: meta.zone }),
  }
  const believed = Object.entries(said).filter(([field, value]) => {
    try {
      instance({ ...base, [field]: value })
      return true
    } catch {
      return false
    }
  })
  return instance({ ...base, ...Object.fromEntries(believed) })
}

export function foreignHealth({ Checks, Service }: Row): Health {
  const results = Checks.map((check) =>
    check.CheckID === '_node_maintenance' || check.CheckID === `_service_maintenance:${Service.ID}`
      ? { id: maintenanceCheck, status: 'maintenance' as const, output: check.Notes ?? '' }
      : { id: check.CheckID, status: statusOf(check.Status), output: check.Output ?? '' },
  )
  // Where there are more than can be shown, the worst say what the health is.
  if (results.length > limits.checkResults)
    results.sort((a, b) => healthStatuses.indexOf(b.status) - healthStatuses.indexOf(a.status))
  return reported(passing, results.slice(0, limits.checkResults))
}

function statusOf(status: string): HealthStatus {
  return healthStatuses.find((known) => known === status) ?? 'critical'
}

function fits(text: string, bytes: number): boolean {
  try {
    checkText('text', text, bytes)
    return text !== ''
  } catch {
    return false
  }
}

function isText(value: string): boolean {
  return value === '' || fits(value, limits.metadataValueBytes)
}

/** Names that a URL's path carries as they are. */
const plainName = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/

/** Where to ask for what others registered: of one service, or of all; in one answer, and with an index to wait from. */
export function foreignPath(service: string | undefined): string {
  const [path, node] =
    service !== undefined && plainName.test(service)
      ? [`/v1/health/service/${service}`, 'Node.']
      : ['/v1/internal/ui/nodes', '']
  return `${path}?filter=${encodeURIComponent(`"${nodeMark}" not in ${node}Meta`)}`
}

export function rows(answer: readonly (Row | NodeDump)[]): Row[] {
  return answer.flatMap((each) => ('Service' in each ? [each] : rowsOf([each])))
}
