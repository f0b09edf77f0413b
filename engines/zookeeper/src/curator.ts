import {
  type CheckResult,
  type Instance,
  type InstanceInput,
  type InstanceKey,
  invalidField,
  storedInstance,
} from '@seamark/core'

/** An instance as Curator's tree holds it. */
export interface CuratorRecord {
  readonly instance: Instance
  /** What the record itself says of the instance's health. */
  readonly checks: readonly CheckResult[]
}

/** What Spring Cloud ZooKeeper calls the payload's class; its JSON needs the name. */
const payloadClass = 'org.springframework.cloud.zookeeper.discovery.ZookeeperInstance'
/** Spring's own key: it shows instances whose status is UP, or absent. */
const statusKey = 'instance_status'
/** Our keys in the payload's metadata begin so. */
const prefix = 'seamark.'
/** Metadata of the owner whose keys are taken: by us, or by Spring. */
const keptPrefix = 'seamark.metadata.'

const none: readonly CheckResult[] = Object.freeze([])

/** `JSON` as Curator's `JsonInstanceSerializer` writes it, with Spring's payload. */
export function curatorJson(instance: Instance, registered: number, ttl: number | undefined): Buffer {
  const secure = instance.scheme === 'https'
  const port = instance.port === 0 ? null : instance.port
  return Buffer.from(
    JSON.stringify({
      name: instance.service,
      id: instance.id,
      address: instance.address,
      port: secure ? null : port,
      sslPort: secure ? port : null,
      payload: {
        '@class': payloadClass,
        id: instance.id,
        name: instance.service,
        metadata: metadataOf(instance),
      },
      registrationTimeUTC: registered,
      serviceType: ttl === undefined ? 'PERMANENT' : 'DYNAMIC',
      uriSpec: {
        parts: [
          { value: 'scheme', variable: true },
          { value: '://', variable: false },
          { value: 'address', variable: true },
          { value: ':', variable: false },
          { value: secure ? 'ssl-port' : 'port', variable: true },
        ],
      },
    }),
  )
}

function metadataOf({ metadata, scheme, version, zone, weight, tags, checks, route }: Instance): object {
  const out: Record<string, string> = { [statusKey]: 'UP' }
  for (const [key, value] of Object.entries(metadata)) {
    if (key === statusKey) out[key] = value
    out[key === statusKey || key.startsWith(prefix) ? keptPrefix + key : key] = value
  }
  out[`${prefix}scheme`] = scheme
  out[`${prefix}weight`] = String(weight)
  if (version !== undefined) out[`${prefix}version`] = version
  if (zone !== undefined) out[`${prefix}zone`] = zone
  if (tags.length > 0) out[`${prefix}tags`] = JSON.stringify(tags)
  if (checks.length > 0) out[`${prefix}checks`] = JSON.stringify(checks)
  if (route !== undefined) out[`${prefix}route`] = JSON.stringify(route)
  return out
}

/**
 * Reads what Curator, Spring or we wrote; fields it does not know are left out. The path says which instance it is, not
 * the record. Throws when it is no instance.
 */
export function curatorRecord(key: InstanceKey, data: Buffer): CuratorRecord {
  const record = object(JSON.parse(data.toString()))
  const metadata = strings(object(object(record.payload).metadata))
  const secure = positive(record.port) === undefined && positive(record.sslPort) !== undefined
  const common = {
    ...key,
    address: record.address,
    port: positive(record.port) ?? positive(record.sslPort) ?? 0,
  }
  if (metadata.get(`${prefix}scheme`) === undefined) {
    const foreign = { ...common, scheme: secure ? 'https' : 'http', metadata: Object.fromEntries(metadata) }
    return { instance: storedInstance(foreign), checks: foreignChecks(record, metadata) }
  }
  const ours: Partial<Record<keyof InstanceInput, unknown>> = { ...common }
  for (const field of ['scheme', 'version', 'zone'] as const) {
    const value = metadata.get(prefix + field)
    if (value !== undefined) ours[field] = value
  }
  const weight = metadata.get(`${prefix}weight`)
  if (weight !== undefined) ours.weight = Number(weight)
  for (const field of ['tags', 'checks', 'route'] as const) {
    const value = metadata.get(prefix + field)
    if (value !== undefined) ours[field] = JSON.parse(value)
  }
  ours.metadata = Object.fromEntries(
    [...metadata].flatMap(([name, value]) => {
      if (name.startsWith(keptPrefix)) return [[name.slice(keptPrefix.length), value]]
      return name === statusKey || name.startsWith(prefix) ? [] : [[name, value]]
    }),
  )
  return { instance: storedInstance(ours), checks: none }
}

/** Spring takes an instance out by its status, Curator by `enabled`; who wrote neither is up. */
function foreignChecks(
  record: Record<string, unknown>,
  metadata: ReadonlyMap<string, string>,
): readonly CheckResult[] {
  const status = metadata.get(statusKey) ?? ''
  if (record.enabled === false) return result('enabled', 'maintenance', 'enabled: false')
  if (status === '' || status === 'UP') return none
  return result(statusKey, status === 'OUT_OF_SERVICE' ? 'maintenance' : 'critical', status)
}

function result(id: string, status: CheckResult['status'], output: string): readonly CheckResult[] {
  return Object.freeze([Object.freeze({ id, status, output })])
}

function object(value: unknown): Record<string, unknown> {
  return Object(value)
}

function strings(value: Record<string, unknown>): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  )
}

/** A port; `undefined` where there is none. Curator writes null, others 0 or -1. */
function positive(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  if (!Number.isInteger(value)) throw invalidField('port', 'must be a whole number')
  return (value as number) > 0 ? (value as number) : undefined
}
