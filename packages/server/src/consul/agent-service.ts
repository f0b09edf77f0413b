import { createHash } from 'node:crypto'
import { type CheckInput, maintenanceCheck } from '@seamark/core'
import { type ConsulAnswer, ConsulError, doneAnswer, jsonAnswer } from './answer.ts'
import type { Ask } from './ask.ts'
import { knownDatacenter, waitOf } from './blocking.ts'
import { decoded } from './body.ts'
import { translatedCheck } from './check-definition.ts'
import type { ConsulContext } from './context.ts'
import type { Endpoints } from './endpoint.ts'
import { filterFor } from './filter/filter.ts'
import { shapes } from './filter/shape.ts'
import { agentServiceJson } from './json.ts'
import { goBoolean, namespaceOf } from './reads.ts'
import { type CheckRecord, type ConsulRecord, emptyMeta, type ServiceAddress } from './record.ts'
import { type ConsulService, keyOfEntry, withFamilies } from './service.ts'
import { type ServiceDefinition, serviceDefinition, validateService } from './service-definition.ts'
import { sorted } from './sorted.ts'
import { serviceTopic } from './view.ts'

/** What runs on the agent: all servers of a registry are one. */
export const agentService: Endpoints = (context) => {
  const { view, writer } = context
  return [
    {
      path: '/v1/agent/services',
      methods: ['GET'],
      answer(ask) {
        const filter = filterFor(ask.get('filter'), shapes.service)
        const found = view
          .agentServices(namespaceOf(ask))
          .map((service) => [service.id, agentServiceJson(service)] as const)
          .filter(([, json]) => filter(json))
        return jsonAnswer(ask, sorted(Object.fromEntries(found)))
      },
    },
    {
      path: '/v1/agent/service/',
      methods: ['GET'],
      answer: (ask) => oneService(context, ask),
    },
    {
      path: '/v1/agent/service/register',
      methods: ['PUT'],
      async answer(ask) {
        const definition = decoded(ask, serviceDefinition) as ServiceDefinition
        const checks = validateService(definition)
        const id = definition.ID || definition.Name!
        const namespace = namespaceOf(ask)
        await writer.inTurn({ namespace, id }, () =>
          register(context, ask, namespace, id, definition, checks),
        )
        await writer.displace(
          namespace,
          checks.flatMap(({ CheckID }) => CheckID || []),
        )
        return doneAnswer()
      },
    },
    {
      path: '/v1/agent/service/deregister/',
      methods: ['PUT'],
      async answer(ask) {
        if (ask.rest === '') throw new ConsulError(500, 'ServiceID missing')
        const namespace = namespaceOf(ask)
        await writer.inTurn({ namespace, id: ask.rest }, async () => {
          const service = view.agentService(namespace, ask.rest)
          if (service !== undefined) await writer.deregister(keyOfEntry(service.entry!))
        })
        return doneAnswer()
      },
    },
    {
      path: '/v1/agent/service/maintenance/',
      methods: ['PUT'],
      async answer(ask) {
        if (ask.rest === '') throw new ConsulError(400, 'Missing service ID')
        const enable = enabled(ask)
        const service = view.agentService(namespaceOf(ask), ask.rest)
        if (service === undefined)
          throw new ConsulError(404, `No service registered with ID ${JSON.stringify(ask.rest)}`)
        const isOn = service.entry!.health.status === 'maintenance'
        if (enable !== isOn)
          await writer.report(keyOfEntry(service.entry!), [
            { id: maintenanceCheck, status: enable ? 'maintenance' : null, output: ask.get('reason') },
          ])
        return doneAnswer()
      },
    },
  ]
}

/** `?enable=` of maintenance. */
export function enabled(ask: Ask): boolean {
  if (!ask.has('enable')) throw new ConsulError(400, 'Missing value for enable')
  const value = goBoolean(ask.get('enable'))
  if (value === undefined)
    throw new ConsulError(400, `Invalid value for enable: ${JSON.stringify(ask.get('enable'))}`)
  return value
}

/** Answers at once unless `?hash=` is what is known already; then once it is another, or the wait is over. */
async function oneService(context: ConsulContext, ask: Ask): Promise<ConsulAnswer> {
  const { view, topics } = context
  knownDatacenter(context, ask)
  const namespace = namespaceOf(ask)
  const look = () => {
    const service = view.agentService(namespace, ask.rest)
    if (service === undefined) return undefined
    const json = agentServiceJson(service)
    return { service, json, hash: contentHash(json) }
  }
  const known = ask.get('hash')
  let seen = look()
  if (known !== '' && seen?.hash === known) {
    const { wait } = waitOf(ask)
    const topic = serviceTopic({ namespace, service: seen.service.name })
    await topics.until([topic], () => look()?.hash !== known, wait, ask.closed)
    seen = look()
  }
  if (seen === undefined) throw new ConsulError(404, `unknown service ID: ${ask.rest}`)
  const { json, hash } = seen
  return jsonAnswer(ask, { ...json, ContentHash: hash }, { 'X-Consul-Contenthash': hash })
}

/** 16 hexadecimal digits, as Consul's. */
function contentHash(json: unknown): string {
  return createHash('sha256').update(JSON.stringify(json)).digest('hex').slice(0, 16)
}

async function register(
  context: ConsulContext,
  ask: Ask,
  namespace: string,
  id: string,
  definition: ServiceDefinition,
  checks: ReturnType<typeof validateService>,
): Promise<void> {
  const { view, writer, server, settings } = context
  const located = server.catalog.locate(namespace, id)
  const former = located && view.instance(located)
  if (former !== undefined && former.node.server === undefined)
    throw new ConsulError(
      400,
      `The ID ${JSON.stringify(id)} is taken by a service on node ${former.node.name}`,
    )
  const name = definition.Name!
  const translated = checks.map((check, index) => {
    const numbered = checks.length === 1 ? `service:${id}` : `service:${id}:${index + 1}`
    return translatedCheck(
      check,
      check.CheckID || numbered,
      check.Name || `Service '${name}' check`,
      server.checkPolicy,
    )
  })
  const kept =
    ask.has('replace-existing-checks') && goBoolean(ask.get('replace-existing-checks') || 'true')
      ? { checks: [], records: {} }
      : keptChecks(former, new Set(translated.map(({ check }) => check.id!)))
  const { input, record } = translatedService(definition, namespace, id, view.nodes.own)
  await writer.register(
    { ...input, checks: [...kept.checks, ...translated.map(({ check }) => check)] },
    {
      ...record,
      // Whichever server it came by first: they are one agent.
      node: former?.record?.node ?? settings.nodeName,
      ...withChecks({
        ...kept.records,
        ...Object.fromEntries(translated.map(({ check, record }) => [check.id!, record])),
      }),
    },
    translated.map(({ check }) => check.id!),
  )
  if (former !== undefined && former.name !== name) await writer.deregister(keyOfEntry(former.entry!))
}

export function withChecks(checks: Readonly<Record<string, CheckRecord>>): Pick<ConsulRecord, 'checks'> {
  return Object.keys(checks).length === 0 ? {} : { checks }
}

/** Checks that were registered before, and are not registered now: Consul keeps them. */
function keptChecks(former: ConsulService | undefined, named: ReadonlySet<string>) {
  const checks: readonly CheckInput[] =
    former?.entry?.instance.checks.filter(({ id }) => !named.has(id)) ?? []
  const records = Object.entries(former?.record?.checks ?? {}).filter(([id]) => !named.has(id))
  return { checks, records: Object.fromEntries(records) }
}

/** Kinds of services that have a proxy's configuration, also where they told none. */
const gateways: ReadonlySet<string> = new Set([
  'connect-proxy',
  'mesh-gateway',
  'ingress-gateway',
  'terminating-gateway',
])

/** The instance of a service, and what Consul says beyond it. */
export function translatedService(
  definition: ServiceDefinition,
  namespace: string,
  id: string,
  node: { readonly address: string },
) {
  const { Name: service = '', Tags = [], Address = '', Port = 0, Meta = {}, Weights } = definition
  const tags = [...new Set(Tags)].filter((tag) => tag !== '')
  const passing = Math.max(Weights?.Passing ?? 1, 0)
  const warning = Weights === undefined ? 1 : (Weights.Warning ?? 0)
  // A sidecar would be a service of its own, that nobody runs: Connect is off.
  const { SidecarService: _sidecar, ...connect } = definition.Connect ?? {}
  const told = withFamilies(addresses(definition.TaggedAddresses), Address, Port)
  const input = {
    namespace,
    service,
    id,
    address: Address === '' ? node.address : Address,
    port: Port,
    weight: passing,
    tags,
    metadata: Meta,
  }
  const record = {
    ...(Address === '' && { atNode: true as const }),
    ...(tags.length !== Tags.length && { tags: Tags }),
    ...emptyMeta(definition.Meta),
    ...(told !== undefined && { taggedAddresses: told }),
    ...(warning !== passing && { warningWeight: warning }),
    ...(definition.EnableTagOverride === true && { enableTagOverride: true as const }),
    ...(definition.Kind && { kind: definition.Kind }),
    ...((definition.Proxy ?? gateways.has(definition.Kind ?? '')) && {
      proxy: { MeshGateway: {}, Expose: {}, ...definition.Proxy },
    }),
    ...(Object.keys(connect).length > 0 && { connect }),
  }
  return { input, record }
}

export function addresses(
  told: ServiceDefinition['TaggedAddresses'],
): Readonly<Record<string, ServiceAddress>> | undefined {
  const pairs = Object.entries(told ?? {})
  if (pairs.length === 0) return undefined
  return Object.fromEntries(pairs.map(([name, { Address = '', Port = 0 }]) => [name, { Address, Port }]))
}
