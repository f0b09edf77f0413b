import {
  arch,
  availableParallelism,
  cpus,
  freemem,
  hostname,
  platform,
  release,
  totalmem,
  uptime,
} from 'node:os'
import { limits } from '@seamark/core'
import { ConsulError, doneAnswer, jsonAnswer, textAnswer } from './answer.ts'
import type { ConsulContext } from './context.ts'
import type { Endpoint, Endpoints, Method } from './endpoint.ts'
import { longestValue } from './kv/kv.ts'
import type { AgentServer, ConsulNode } from './node.ts'
import { consulVersion } from './options.ts'
import { leader } from './status.ts'

/** Who the agent is, and who else there is. */
export const agent: Endpoints = (context) => [
  { path: '/v1/agent/self', methods: ['GET'], answer: (ask) => jsonAnswer(ask, self(context)) },
  {
    path: '/v1/agent/members',
    methods: ['GET'],
    // There is no other datacenter, and so no pool of servers across them.
    answer: (ask) => jsonAnswer(ask, ask.get('wan') === '' ? members(context) : null),
  },
  {
    path: '/v1/agent/host',
    methods: ['GET'],
    answer: (ask) => jsonAnswer(ask, host(context)),
  },
  {
    path: '/v1/agent/metrics',
    methods: ['GET'],
    answer(ask) {
      if (ask.get('format') === 'prometheus')
        throw new ConsulError(415, 'Prometheus is not enabled since its retention time is not positive')
      const Timestamp = new Date(context.server.clock.date())
        .toISOString()
        .replace(/T(.*)\..*/, ' $1 +0000 UTC')
      return jsonAnswer(ask, { Timestamp, Gauges: [], Points: [], Counters: [], Samples: [] })
    },
  },
  {
    path: '/v1/agent/monitor',
    methods: ['GET'],
    answer: (ask) => {
      const level = ask.get('loglevel')
      if (level !== '' && !/^(trace|debug|info|warn|err|error)$/i.test(level))
        throw new ConsulError(400, `Bad request: Unknown log level: ${level}`)
      return textAnswer("Seamark's log is written where it was started, and nowhere else.\n")
    },
  },
  done('/v1/agent/reload'),
  {
    path: '/v1/agent/join/',
    methods: ['PUT'],
    answer: () => refuse('Servers of one registry find one another by it: there is nothing to join'),
  },
  {
    path: '/v1/agent/leave',
    methods: ['PUT'],
    answer: () => refuse('The server is stopped by whoever started it, and not from here'),
  },
  {
    path: '/v1/agent/force-leave/',
    methods: ['PUT'],
    answer(ask) {
      const known = context.view.nodes.get(ask.rest)?.server !== undefined
      return known ? doneAnswer() : refuse(`agent: No node found with name '${ask.rest}'`)
    },
  },
]

function refuse(text: string): never {
  throw new ConsulError(500, text)
}

function done(path: string, methods: readonly Method[] = ['PUT']): Endpoint {
  return { path, methods, answer: () => doneAnswer() }
}

function servers({ view }: ConsulContext): (ConsulNode & { readonly server: AgentServer })[] {
  return view.nodes
    .list()
    .filter((node): node is ConsulNode & { server: AgentServer } => node.server !== undefined)
}

function members(context: ConsulContext) {
  return servers(context).map((node) => member(context, node))
}

/** As a member of Consul's gossip, which there is none of: its numbers say what Consul 1.8 speaks. */
function member({ settings }: ConsulContext, { server }: { readonly server: AgentServer }) {
  return {
    Name: server.name,
    Addr: server.address,
    Port: server.port,
    Tags: {
      acls: '0',
      bootstrap: '1',
      build: `${consulVersion}:`,
      dc: settings.datacenter,
      ft_fs: '1',
      id: server.id,
      port: String(server.port),
      raft_vsn: '3',
      role: 'consul',
      segment: '',
      vsn: '2',
      vsn_max: '3',
      vsn_min: '2',
    },
    Status: 1,
    ProtocolMin: 1,
    ProtocolMax: 5,
    ProtocolCur: 2,
    DelegateMin: 2,
    DelegateMax: 5,
    DelegateCur: 4,
  }
}

function self(context: ConsulContext) {
  const { view, settings, server } = context
  const { own } = view.nodes
  const { datacenter, nodeId, nodeName, nodeMeta, domain, altDomain } = settings
  const { port } = own.server!
  const http = `tcp://${own.address.includes(':') ? `[${own.address}]` : own.address}:${port}`
  return {
    Config: {
      Datacenter: datacenter,
      NodeName: nodeName,
      NodeID: nodeId,
      Revision: '',
      Server: true,
      Version: consulVersion,
    },
    DebugConfig: {
      ACLsEnabled: false,
      AdvertiseAddrLAN: own.address,
      AdvertiseAddrWAN: own.address,
      BindAddr: own.address,
      Bootstrap: true,
      BootstrapExpect: 0,
      CheckOutputMaxSize: limits.outputBytes,
      ConnectEnabled: false,
      DNSAltDomain: altDomain === '' ? '' : `${altDomain}.`,
      DNSDomain: `${domain}.`,
      Datacenter: datacenter,
      DevMode: false,
      EnableDebug: false,
      EnableLocalScriptChecks: server.checkPolicy.allowCommandChecks,
      EnableRemoteScriptChecks: server.checkPolicy.allowCommandChecks,
      EnableUI: false,
      HTTPAddrs: [http],
      HTTPPort: port,
      HTTPSPort: -1,
      KVMaxValueSize: longestValue,
      NodeID: nodeId,
      NodeMeta: nodeMeta,
      NodeName: nodeName,
      PrimaryDatacenter: datacenter,
      ServerMode: true,
      ServerPort: port,
      TaggedAddresses: own.taggedAddresses,
      Version: consulVersion,
    },
    Coord: coordinate,
    Member: member(context, { server: own.server! }),
    Stats: stats(context),
    Meta: own.meta,
  }
}

/** Where a node that never measured how far the others are is: Consul's too. */
export const coordinate = { Vec: [0, 0, 0, 0, 0, 0, 0, 0], Error: 1.5, Adjustment: 0, Height: 0.00001 }

function stats(context: ConsulContext) {
  const { view, server, revision } = context
  const index = String(revision)
  const all = servers(context)
  const services = view.agentServices('default')
  const checks = [
    ...view.nodes.own.checks.filter(({ id }) => id !== 'serfHealth'),
    ...services.flatMap((service) => service.checks),
  ]
  const first = leader(context)
  return {
    agent: {
      check_monitors: '0',
      check_ttls: String(checks.filter(({ type }) => type === 'ttl').length),
      checks: String(checks.length),
      services: String(services.length),
    },
    build: { prerelease: '', revision: '', version: consulVersion },
    consul: {
      acl: 'disabled',
      bootstrap: String(all.length === 1),
      known_datacenters: '1',
      leader: String(first !== ''),
      leader_addr: first,
      server: 'true',
    },
    raft: {
      applied_index: index,
      commit_index: index,
      last_log_index: index,
      num_peers: String(all.length - 1),
      state: server.catalog.staleSince === undefined ? 'Leader' : 'Candidate',
    },
    runtime: {
      arch: arch(),
      cpu_count: String(cpus().length),
      max_procs: String(availableParallelism()),
      os: platform(),
      version: process.version,
    },
    serf_lan: { encrypted: 'false', failed: '0', left: '0', members: String(all.length) },
  }
}

function host({ server }: ConsulContext) {
  const [total, free] = [totalmem(), freemem()]
  return {
    Memory: { total, available: free, used: total - free, free },
    CPU: cpus().map(({ model, speed }, cpu) => ({ cpu, modelName: model, mhz: speed })),
    Host: {
      hostname: hostname(),
      uptime: Math.floor(uptime()),
      os: platform(),
      kernelVersion: release(),
      kernelArch: arch(),
    },
    Disk: null,
    CollectionTime: server.clock.date() * 1e6,
    Errors: null,
  }
}
