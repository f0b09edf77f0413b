import { coordinate } from './agent.ts'
import { type ConsulAnswer, ConsulError, doneAnswer, jsonAnswer } from './answer.ts'
import type { Ask } from './ask.ts'
import { knownDatacenter, plainHeaders, reading } from './blocking.ts'
import { anything, decoded, object, text } from './body.ts'
import { byId } from './check.ts'
import type { ConsulContext } from './context.ts'
import type { Endpoint, Endpoints, Method } from './endpoint.ts'
import { checkJson, nodeJson, serviceJson, withoutEmptyTags } from './json.ts'
import { consulVersion } from './options.ts'
import { namespaceOf, readAnswer, telling } from './reads.ts'
import { peers } from './status.ts'
import { listTopic } from './view.ts'

/** What Consul answers where access control is off. */
function withoutAcl(path: string, ...methods: Method[]): Endpoint {
  return {
    path: `/v1/${path}`,
    methods,
    answer() {
      throw new ConsulError(401, 'ACL support disabled')
    },
  }
}

/** What Consul answers where Connect is off. */
function withoutConnect(path: string, ...methods: Method[]): Endpoint {
  return {
    path: `/v1/${path}`,
    methods,
    answer() {
      throw new ConsulError(500, 'Connect must be enabled in order to use this endpoint')
    },
  }
}

/** Those of Consul 1.8. */
const configKinds: ReadonlySet<string> = new Set([
  'ingress-gateway',
  'proxy-defaults',
  'service-defaults',
  'service-resolver',
  'service-router',
  'service-splitter',
  'terminating-gateway',
])

const notKept = 'Seamark keeps neither intentions nor configuration entries: Connect is off'

/**
 * What Consul has beyond discovery: access control and Connect are off, nothing is configured, nobody measures distances.
 * Clients ask for these at their start, and go on when they are answered as Consul does in that case.
 */
export const unused: Endpoints = (context) => {
  /** A read that always says the same, of a list that can only be empty. */
  const always = (path: string, value: unknown): Endpoint => ({
    path: `/v1/${path}`,
    methods: ['GET'],
    answer: (ask) =>
      readAnswer(context, ask, {
        saysConsistency: false,
        topics: [],
        look: () => ({ index: 1, value }),
        print: (value) => value,
      }),
  })
  return [
    withoutAcl('acl/bootstrap', 'PUT'),
    withoutAcl('acl/create', 'PUT'),
    withoutAcl('acl/update', 'PUT'),
    withoutAcl('acl/destroy/', 'PUT'),
    withoutAcl('acl/info/', 'GET'),
    withoutAcl('acl/clone/', 'PUT'),
    withoutAcl('acl/list', 'GET'),
    withoutAcl('acl/login', 'POST'),
    withoutAcl('acl/logout', 'POST'),
    withoutAcl('acl/replication', 'GET'),
    withoutAcl('acl/policies', 'GET'),
    withoutAcl('acl/policy', 'PUT'),
    withoutAcl('acl/policy/', 'GET', 'PUT', 'DELETE'),
    withoutAcl('acl/policy/name/', 'GET'),
    withoutAcl('acl/roles', 'GET'),
    withoutAcl('acl/role', 'PUT'),
    withoutAcl('acl/role/name/', 'GET'),
    withoutAcl('acl/role/', 'GET', 'PUT', 'DELETE'),
    withoutAcl('acl/binding-rules', 'GET'),
    withoutAcl('acl/binding-rule', 'PUT'),
    withoutAcl('acl/binding-rule/', 'GET', 'PUT', 'DELETE'),
    withoutAcl('acl/auth-methods', 'GET'),
    withoutAcl('acl/auth-method', 'PUT'),
    withoutAcl('acl/auth-method/', 'GET', 'PUT', 'DELETE'),
    withoutAcl('acl/rules/translate', 'POST'),
    withoutAcl('acl/rules/translate/', 'GET'),
    withoutAcl('acl/tokens', 'GET'),
    withoutAcl('acl/token', 'PUT'),
    withoutAcl('acl/token/self', 'GET'),
    withoutAcl('acl/token/', 'GET', 'PUT', 'DELETE'),
    withoutAcl('agent/token/', 'PUT'),
    withoutAcl('internal/acl/authorize', 'POST'),

    withoutConnect('agent/connect/authorize', 'POST'),
    withoutConnect('agent/connect/ca/roots', 'GET'),
    withoutConnect('agent/connect/ca/leaf/', 'GET'),
    withoutConnect('connect/ca/configuration', 'GET', 'PUT'),
    telling(withoutConnect('connect/ca/roots', 'GET')),
    telling(withoutConnect('discovery-chain/', 'GET', 'POST')),
    {
      path: '/v1/connect/intentions',
      methods: ['GET', 'POST'],
      answer(ask) {
        if (ask.method === 'POST') throw new ConsulError(500, notKept)
        return always('', []).answer(ask)
      },
    },
    {
      path: '/v1/connect/intentions/match',
      methods: ['GET'],
      answer(ask) {
        const names = ask.query.getAll('name')
        if (!['source', 'destination'].includes(ask.get('by')) || names.length === 0)
          throw new ConsulError(
            500,
            ask.has('by')
              ? `required query parameter 'name' not set`
              : `required query parameter 'by' not set`,
          )
        return jsonAnswer(ask, Object.fromEntries(names.map((name) => [name, null])))
      },
    },
    {
      path: '/v1/connect/intentions/check',
      methods: ['GET'],
      answer(ask) {
        for (const name of ['source', 'destination'])
          if (ask.get(name) === '') throw new ConsulError(500, `required query parameter '${name}' not set`)
        return jsonAnswer(ask, { Allowed: true })
      },
    },
    {
      path: '/v1/connect/intentions/',
      methods: ['GET', 'PUT', 'DELETE'],
      answer(ask) {
        if (ask.method === 'PUT') throw new ConsulError(500, notKept)
        if (ask.method === 'DELETE') return jsonAnswer(ask, true)
        throw new ConsulError(404, 'Intention not found')
      },
    },
    {
      path: '/v1/config',
      methods: ['PUT'],
      answer() {
        throw new ConsulError(500, notKept)
      },
    },
    {
      path: '/v1/config/',
      methods: ['GET', 'DELETE'],
      answer(ask) {
        const [kind = '', name] = ask.rest.split('/')
        if (!configKinds.has(kind)) throw new ConsulError(500, `invalid config entry kind: ${kind}`)
        if (ask.method === 'DELETE') return jsonAnswer(ask, {})
        if (name !== undefined && name !== '')
          throw new ConsulError(
            404,
            `Config entry not found for ${JSON.stringify(kind)} / ${JSON.stringify(name)}`,
            plainHeaders(context, reading(context, ask), 1),
          )
        return always('', []).answer(ask)
      },
    },

    {
      path: '/v1/coordinate/datacenters',
      methods: ['GET'],
      answer: (ask) => jsonAnswer(ask, []),
    },
    telling({
      path: '/v1/coordinate/nodes',
      methods: ['GET'],
      answer: (ask) => coordinates(context, ask),
    }),
    {
      path: '/v1/coordinate/node/',
      methods: ['GET'],
      answer: (ask) => coordinates(context, ask, ask.rest),
    },
    {
      path: '/v1/coordinate/update',
      methods: ['PUT'],
      answer(ask) {
        decoded(ask, object({ Node: text, Segment: text, Coord: anything, Datacenter: text }))
        return doneAnswer()
      },
    },

    {
      path: '/v1/operator/raft/configuration',
      methods: ['GET'],
      answer: (ask) => jsonAnswer(ask, { Servers: raftServers(context), Index: 0 }),
    },
    {
      path: '/v1/operator/raft/peer',
      methods: ['DELETE'],
      answer() {
        throw new ConsulError(500, 'Servers come and go by themselves here: there is no peer to remove')
      },
    },
    {
      path: '/v1/operator/autopilot/configuration',
      methods: ['GET', 'PUT'],
      answer(ask) {
        if (ask.method === 'PUT') throw new ConsulError(500, 'There is no autopilot here to configure')
        return jsonAnswer(ask, autopilot)
      },
    },
    {
      path: '/v1/operator/autopilot/health',
      methods: ['GET'],
      answer: (ask) => jsonAnswer(ask, autopilotHealth(context)),
    },
    {
      path: '/v1/operator/keyring',
      methods: ['GET', 'POST', 'PUT', 'DELETE'],
      answer() {
        throw new ConsulError(500, 'Keyring is empty (encryption not enabled)')
      },
    },
    {
      path: '/v1/snapshot',
      methods: ['GET', 'PUT'],
      answer() {
        throw new ConsulError(500, "Snapshots are the engine's: back up what it keeps")
      },
    },

    always('internal/ui/gateway-services-nodes/', []),
    telling({ path: '/v1/internal/ui/nodes', methods: ['GET'], answer: (ask) => uiNodes(context, ask) }),
    { path: '/v1/internal/ui/node/', methods: ['GET'], answer: (ask) => uiNode(context, ask) },
    telling({
      path: '/v1/internal/ui/services',
      methods: ['GET'],
      answer: (ask) => uiServices(context, ask),
    }),
  ]
}

function coordinates(context: ConsulContext, ask: Ask, name?: string): ConsulAnswer | Promise<ConsulAnswer> {
  const { view } = context
  const found = view.nodes
    .list()
    .filter((node) => node.server !== undefined && (name === undefined || node.name === name))
    .map((node) => ({ Node: node.name, Segment: '', Coord: coordinate }))
  if (name !== undefined && found.length === 0) {
    knownDatacenter(context, ask)
    return { status: 404, headers: {}, body: '' }
  }
  return readAnswer(context, ask, {
    saysConsistency: false,
    topics: [listTopic('nodes')],
    look: () => ({ index: view.nodesSeen().index, value: found }),
    print: (value) => value,
  })
}

function raftServers(context: ConsulContext) {
  const [first] = peers(context)
  return servers(context).map(({ id, name, address }) => ({
    ID: id,
    Node: name,
    Address: address,
    Leader: address === first,
    ProtocolVersion: '3',
    Voter: true,
  }))
}

function servers(context: ConsulContext) {
  const addresses = peers(context)
  return context.view.nodes
    .list()
    .filter(({ server }) => server !== undefined)
    .map(({ id, name }, index) => ({ id, name, address: addresses[index]! }))
}

/** Consul's defaults. */
const autopilot = {
  CleanupDeadServers: true,
  LastContactThreshold: '200ms',
  MaxTrailingLogs: 250,
  MinQuorum: 0,
  ServerStabilizationTime: '10s',
  RedundancyZoneTag: '',
  DisableUpgradeMigration: false,
  UpgradeVersionTag: '',
  CreateIndex: 2,
  ModifyIndex: 2,
}

function autopilotHealth(context: ConsulContext) {
  const healthy = context.server.catalog.staleSince === undefined
  const [first] = peers(context)
  return {
    Healthy: healthy,
    FailureTolerance: Math.max(0, servers(context).length - 1),
    Servers: servers(context).map(({ id, name, address }) => ({
      ID: id,
      Name: name,
      Address: address,
      SerfStatus: 'alive',
      Version: consulVersion,
      Leader: address === first,
      LastContact: '0s',
      LastTerm: 1,
      LastIndex: context.revision,
      Healthy: healthy,
      Voter: true,
      StableSince: '1970-01-01T00:00:00Z',
    })),
  }
}

/** What Consul's own pages ask for. */
function uiNodes(context: ConsulContext, ask: Ask): Promise<ConsulAnswer> {
  const { view } = context
  const namespace = namespaceOf(ask)
  return readAnswer(context, ask, {
    saysConsistency: false,
    topics: [listTopic('nodes'), listTopic('checks')],
    look: () => {
      const [nodes, checks] = [view.nodesSeen(), view.checks(namespace, 'any')]
      return { index: Math.max(nodes.index, checks.index), value: nodes.value }
    },
    print: (nodes) => nodes.map((node) => uiNodeJson(context, namespace, node)),
  })
}

function uiNode(context: ConsulContext, ask: Ask): ConsulAnswer | Promise<ConsulAnswer> {
  const { view } = context
  const namespace = namespaceOf(ask)
  if (view.nodes.find(ask.rest) === undefined) return { status: 404, headers: {}, body: '' }
  return readAnswer(context, ask, {
    saysConsistency: false,
    topics: [listTopic('nodes'), listTopic('checks')],
    look: () => {
      const [nodes, checks] = [view.nodesSeen(), view.checks(namespace, 'any')]
      return { index: Math.max(nodes.index, checks.index), value: view.nodes.find(ask.rest) }
    },
    print: (node) => (node === undefined ? null : uiNodeJson(context, namespace, node)),
  })
}

function uiNodeJson(context: ConsulContext, namespace: string, node: Parameters<typeof nodeJson>[0]) {
  const services = context.view.servicesOn(namespace, node)
  const { ID, Node, Address, TaggedAddresses, Meta } = nodeJson(node, context.settings.datacenter)
  return {
    ID,
    Node,
    Address,
    TaggedAddresses,
    Meta,
    Services: services.map((service) => withoutEmptyTags(serviceJson(service), 'Tags')),
    Checks: [...node.checks, ...services.flatMap(({ checks }) => checks)]
      .sort(byId)
      .map((check) => withoutEmptyTags(checkJson(check), 'ServiceTags')),
  }
}

function uiServices(context: ConsulContext, ask: Ask): Promise<ConsulAnswer> {
  const { view } = context
  const namespace = namespaceOf(ask)
  return readAnswer(context, ask, {
    saysConsistency: false,
    topics: [listTopic('services'), listTopic('checks')],
    look: () => {
      const [services, checks] = [view.services(namespace), view.checks(namespace, 'any')]
      return { index: Math.max(services.index, checks.index), value: services.value }
    },
    print: (names) =>
      names.map(({ name, tags }) => {
        const { services } = view.service({ namespace, service: name })
        const count = (status: string) =>
          services.reduce(
            (sum, { node, checks }) =>
              sum + [...node.checks, ...checks].filter((check) => check.status === status).length,
            0,
          )
        return {
          Name: name,
          Tags: tags.length === 0 ? null : tags,
          Nodes: services.map(({ node }) => node.name),
          InstanceCount: services.length,
          ChecksPassing: count('passing'),
          ChecksWarning: count('warning'),
          ChecksCritical: count('critical'),
          ExternalSources: null,
          GatewayConfig: {},
        }
      }),
  })
}
