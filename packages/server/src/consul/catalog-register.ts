import { type CheckInput, type InstanceInput, type InstanceKey, instanceId } from '@seamark/core'
import { addresses, translatedService, withChecks } from './agent-service.ts'
import { ConsulError, jsonAnswer } from './answer.ts'
import type { Ask } from './ask.ts'
import {
  anyObject,
  anything,
  boolean,
  decoded,
  integer,
  list,
  object,
  type Shape,
  text,
  texts,
} from './body.ts'
import { reservedChecks } from './check.ts'
import { statuses } from './check-definition.ts'
import type { ConsulContext } from './context.ts'
import type { Endpoints } from './endpoint.ts'
import { goDuration, printDuration } from './go-duration.ts'
import { namespaceOf } from './reads.ts'
import { type CheckRecord, type ConsulRecord, emptyMeta, nodeKey } from './record.ts'
import { keyOfEntry } from './service.ts'
import { taggedAddresses, validateProxy, weights } from './service-definition.ts'

/** What later versions of Consul, and its own answers, hold beside: looked over. */
const looked = {
  Namespace: text,
  Partition: text,
  PeerName: text,
  Locality: anything,
  CreateIndex: anything,
  ModifyIndex: anything,
}

const service = object(
  {
    Kind: text,
    ID: text,
    Service: text,
    Tags: list(text),
    Address: text,
    TaggedAddresses: taggedAddresses,
    Meta: texts,
    Port: integer,
    Weights: weights,
    EnableTagOverride: boolean,
    Proxy: anyObject,
    Connect: anyObject,
    SocketPath: text,
    ContentHash: text,
    Datacenter: text,
    ...looked,
  },
  { struct: 'NodeService', strict: true },
)

const check = object(
  {
    Node: text,
    CheckID: text,
    Name: text,
    Status: text,
    Notes: text,
    Output: text,
    ServiceID: text,
    Type: text,
    Definition: anyObject,
    ServiceName: text,
    ServiceTags: list(text),
    ExposedPort: integer,
    Interval: anything,
    Timeout: anything,
    ...looked,
  },
  { struct: 'HealthCheck', strict: true },
)

const registration = object(
  {
    Datacenter: text,
    ID: text,
    Node: text,
    Address: text,
    TaggedAddresses: texts,
    NodeMeta: texts,
    Service: service,
    Check: check,
    Checks: list(check, 'structs.HealthChecks'),
    SkipNodeUpdate: boolean,
    Token: text,
    ...looked,
  },
  { struct: 'RegisterRequest', strict: true },
)

const deregistration = object(
  { Datacenter: text, Node: text, Address: text, ServiceID: text, CheckID: text, Token: text, ...looked },
  { strict: true },
)

type Read<S> = S extends Shape<infer T> ? T : never
type Registration = Read<typeof registration>
type ToldCheck = Read<typeof check>

/** Nodes that run no agent, and what is on them: kept as they are told. */
export const catalogRegister: Endpoints = (context) => [
  {
    path: '/v1/catalog/register',
    methods: ['PUT'],
    async answer(ask) {
      const told = decoded(ask, registration)
      const namespace = namespaceOf(ask)
      validate(context, told)
      await context.writer.inTurn(nodeKey(told.Node!), () => register(context, namespace, told))
      await context.writer.displace(namespace, checksOf(told).map(idOf))
      return jsonAnswer(ask, true)
    },
  },
  {
    path: '/v1/catalog/deregister',
    methods: ['PUT'],
    async answer(ask: Ask) {
      const told = decoded(ask, deregistration)
      const namespace = namespaceOf(ask)
      if (!told.Node) throw new ConsulError(500, 'Must provide node')
      sameDatacenter(context, told.Datacenter)
      await context.writer.inTurn(nodeKey(told.Node), () => deregister(context, namespace, told))
      return jsonAnswer(ask, true)
    },
  },
]

function sameDatacenter({ settings }: ConsulContext, datacenter = ''): void {
  if (datacenter !== '' && datacenter !== settings.datacenter)
    throw new ConsulError(500, 'No path to datacenter')
}

/** Consul's rules, in its order (`agent/consul/catalog_endpoint.go`). */
function validate(context: ConsulContext, told: Registration): void {
  const { Node = '', Address = '', ID = '', Service, Checks = [], Check } = told
  sameDatacenter(context, told.Datacenter)
  if (Node === '') throw new ConsulError(500, 'Must provide node')
  if (Address === '' && told.SkipNodeUpdate !== true)
    throw new ConsulError(500, 'Must provide address if SkipNodeUpdate is not set')
  if (ID !== '' && ID.length !== 36) throw new ConsulError(500, 'Bad node ID: uuid string is wrong length')
  if (ID !== '' && !/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(ID))
    throw new ConsulError(500, 'Bad node ID: uuid is improperly formatted')
  if (Service !== undefined && !Service.Service)
    throw new ConsulError(
      500,
      Service.ID
        ? 'Must provide service name with ID'
        : 'failed inserting service: failed inserting service: object missing primary index',
    )
  if (Service !== undefined) validateProxy(Service, 500)
  for (const { Node: other = '' } of [...Checks, ...(Check ? [Check] : [])])
    if (other !== '' && other !== Node)
      throw new ConsulError(
        500,
        `check node ${JSON.stringify(other)} does not match node ${JSON.stringify(Node)}`,
      )
}

function checksOf({ Checks, Check }: Registration): ToldCheck[] {
  return [...(Checks ?? []), ...(Check ? [Check] : [])]
}

async function register(context: ConsulContext, namespace: string, told: Registration): Promise<void> {
  const { view, writer } = context
  const name = told.Node!
  const node = view.nodes.get(name)
  const byService = new Map<string, ToldCheck[]>()
  for (const check of checksOf(told)) {
    const id = check.ServiceID ?? ''
    byService.set(id, [...(byService.get(id) ?? []), check])
  }
  const { Service: service } = told
  const serviceId = service?.ID || service?.Service
  for (const id of byService.keys())
    if (id !== '' && id !== serviceId && find(context, namespace, name, id) === undefined)
      throw new ConsulError(
        500,
        `failed inserting check: Missing service registration on node ${JSON.stringify(name)}`,
      )

  // All of it is looked at before any of it is written.
  const plans: Plan[] = []
  // Of a server, only its checks are told of here: it says itself who it is.
  const own = byService.get('') ?? []
  if (node?.server === undefined) plans.push(nodePlan(context, told, own))
  else if (own.length > 0) {
    const { input, record } = writer.nodeInput(node)
    plans.push(plan(input, record, own))
  }
  const address = node?.server?.address ?? plans[0]!.input.address
  const former = service && find(context, namespace, name, serviceId!)
  if (service !== undefined) {
    // An agent adds the families of the address; the catalog keeps what it is told.
    const { TaggedAddresses: ownAddresses, ...fields } = service
    const key = keyOn(context, namespace, name, service.Service!, serviceId!)
    const { input, record } = translatedService({ ...fields, Name: service.Service! }, namespace, key.id, {
      address,
    })
    const { taggedAddresses: _own, ...plain } = record
    const tagged = addresses(ownAddresses)
    plans.push(
      plan(
        { ...input, checks: former?.entry?.instance.checks ?? [] },
        {
          node: name,
          ...(key.id !== serviceId && { id: serviceId! }),
          ...plain,
          ...(tagged && { taggedAddresses: tagged }),
          ...withChecks(former?.record?.checks ?? {}),
        },
        byService.get(serviceId!) ?? [],
      ),
    )
  }
  for (const [id, checks] of byService) {
    if (id === '' || (id === serviceId && service !== undefined)) continue
    const found = find(context, namespace, name, id)!
    plans.push(plan(found.entry!.instance, found.record ?? { node: name }, checks))
  }
  for (const { input, record } of plans) writer.prepare(input, record, [])

  const same = sameNode(context, told)
  if (same !== undefined) await deregisterNode(context, same)
  for (const each of plans) await carryOut(context, each)
  if (former !== undefined && former.name !== service!.Service)
    await writer.deregister(keyOfEntry(former.entry!))
  await follow(context, name, address)
}

/** An instance to be registered, its record, and what is to be reported of it. */
interface Plan {
  readonly input: InstanceInput
  readonly record: ConsulRecord
  readonly told: readonly ToldCheck[]
}

function nodePlan(context: ConsulContext, told: Registration, checks: readonly ToldCheck[]): Plan {
  const key = nodeKey(told.Node!)
  const former = context.server.catalog.entry(key)
  const before = context.view.records.get(key)
  if (told.SkipNodeUpdate === true && former !== undefined)
    return plan(former.instance, before ?? { node: told.Node! }, checks)
  const id = told.ID?.toLowerCase()
  return plan(
    {
      ...key,
      address: told.Address!,
      port: 0,
      metadata: told.NodeMeta ?? {},
      checks: former?.instance.checks ?? [],
    },
    {
      node: told.Node!,
      ...(id && { nodeId: id }),
      ...emptyMeta(told.NodeMeta),
      ...(told.TaggedAddresses && { nodeAddresses: told.TaggedAddresses }),
      ...withChecks(before?.checks ?? {}),
    },
    checks,
  )
}

/** Another node of the same id: it is this one's former name. */
function sameNode({ view }: ConsulContext, { ID = '', Node }: Registration): string | undefined {
  const id = ID.toLowerCase()
  const same = id === '' ? undefined : view.nodes.list().find((node) => node.id === id && node.name !== Node)
  if (same?.server !== undefined)
    throw new ConsulError(
      500,
      `failed inserting node: Error while renaming Node ID: ${JSON.stringify(id)}: Node name ${Node} is reserved by node ${id} with name ${same.name}`,
    )
  return same?.name
}

/** The instance with these checks beside those it has. */
function plan(input: InstanceInput, record: ConsulRecord, told: readonly ToldCheck[]): Plan {
  const checks = new Map((input.checks ?? []).map((check) => [check.id!, check]))
  const records: Record<string, CheckRecord> = { ...record.checks }
  for (const check of told) {
    const id = idOf(check)
    const initial = statuses.has(check.Status ?? '') ? (check.Status as CheckInput['initial']) : 'critical'
    checks.set(id, { type: 'reported', id, initial })
    records[id] = checkRecord(check)
  }
  const { checks: _former, ...plain } = record
  return {
    input: { ...input, checks: [...checks.values()] },
    record: { ...plain, ...withChecks(records) },
    told,
  }
}

async function carryOut({ writer }: ConsulContext, { input, record, told }: Plan): Promise<void> {
  await writer.register(input, record, [])
  if (told.length === 0) return
  const key = { namespace: input.namespace, service: input.service, id: input.id }
  await writer.report(
    key,
    told.map((check) => ({
      id: idOf(check),
      status: statuses.has(check.Status ?? '') ? (check.Status as 'passing') : 'critical',
      output: check.Output ?? '',
    })),
  )
}

/** Consul names a check after itself if it has no id. */
function idOf({ CheckID, Name }: ToldCheck): string {
  const id = CheckID || Name || ''
  if (id === '' || reservedChecks.has(id))
    throw new ConsulError(
      500,
      'failed inserting check: failed inserting service: object missing primary index',
    )
  return id
}

function checkRecord(check: ToldCheck): CheckRecord {
  const { Name: name = '', Notes: notes = '', Status: status = '', Definition = {} } = check
  const definition = shownDefinition(Definition)
  return {
    name,
    type: check.Type || typeOf(definition),
    ...(notes !== '' && { notes }),
    ...(status !== '' && !statuses.has(status) && { status }),
    ...(Object.keys(definition).length > 0 && { definition }),
  }
}

const durationFields = new Set(['Interval', 'Timeout', 'DeregisterCriticalServiceAfter', 'TTL'])

/** As Consul prints it: without what says nothing, times in Go's notation. */
function shownDefinition(definition: Record<string, unknown>): Record<string, unknown> {
  const pairs = Object.entries(definition).flatMap(([key, value]): [string, unknown][] => {
    if (value === null || value === '' || value === 0 || value === false) return []
    const name = key.replace(/Duration$/, '')
    if (!durationFields.has(name)) return [[key, value]]
    const ms =
      typeof value === 'number' ? value / 1e6 : typeof value === 'string' ? goDuration(value) : undefined
    return ms === undefined || ms === 0 ? [] : [[name, printDuration(ms)]]
  })
  return Object.fromEntries(pairs)
}

function typeOf(definition: Readonly<Record<string, unknown>>): string {
  if (definition.HTTP) return 'http'
  if (definition.TCP) return 'tcp'
  return definition.GRPC ? 'grpc' : ''
}

/** On a server's node, a service is the agent's, and has its own id. */
function keyOn(
  { view, server }: ConsulContext,
  namespace: string,
  node: string,
  service: string,
  id: string,
): InstanceKey {
  const isServer = view.nodes.get(node)?.server !== undefined
  const key = { namespace, service, id: isServer ? id : `${id}@${node}` }
  const located = server.catalog.locate(namespace, key.id)
  const other = located && view.instance(located)
  if (other !== undefined && (isServer ? other.node.server === undefined : other.node.name !== node))
    throw new ConsulError(
      500,
      `The ID ${JSON.stringify(key.id)} is taken by a service on node ${other.node.name}`,
    )
  return key
}

function find(context: ConsulContext, namespace: string, node: string, id: string) {
  const { view } = context
  const found = view.nodes.get(node)
  if (found === undefined) return undefined
  if (found.server !== undefined) return view.agentService(namespace, id)
  const key = context.server.catalog.locate(namespace, `${id}@${node}`)
  const service = key && view.instance(key)
  return service?.node === found ? service : undefined
}

/** Services without an address of their own have their node's: also after it moved. */
async function follow({ view, writer }: ConsulContext, node: string, address: string): Promise<void> {
  if (view.nodes.get(node)?.server !== undefined) return
  for (const key of view.records.on(node)) {
    const service = view.instance(key)
    if (service?.record?.atNode !== true || service.entry!.instance.address === address) continue
    await writer.register({ ...service.entry!.instance, address }, service.record, [])
  }
}

async function deregister(
  context: ConsulContext,
  namespace: string,
  { Node: name = '', ServiceID: id = '', CheckID: check = '' }: Read<typeof deregistration>,
): Promise<void> {
  const { view, writer } = context
  const node = view.nodes.get(name)
  if (node === undefined) return
  if (id !== '') {
    const service = find(context, namespace, name, id)
    if (service?.entry !== undefined) await writer.deregister(keyOfEntry(service.entry))
  } else if (check !== '') {
    const all = [...node.checks, ...view.servicesOn(namespace, node).flatMap(({ checks }) => checks)]
    const source = all.find(({ id }) => id === check)?.source
    if (source !== undefined) await writer.removeCheck(source.key, source.check)
  } else if (node.server === undefined) await deregisterNode(context, name)
}

async function deregisterNode({ view, writer }: ConsulContext, name: string): Promise<void> {
  const own = instanceId(nodeKey(name))
  for (const key of view.records.on(name)) if (instanceId(key) !== own) await writer.deregister(key)
  await writer.deregister(nodeKey(name))
}
