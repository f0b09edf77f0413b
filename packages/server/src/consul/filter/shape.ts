/** What a value that is filtered looks like: which selectors there are, and what may be asked of them. */
export type Shape =
  | { readonly type: 'string' | 'int' | 'bool' }
  | { readonly type: 'list'; readonly of: Shape }
  | { readonly type: 'map'; readonly of: Shape }
  | { readonly type: 'struct'; readonly fields: ReadonlyMap<string, Shape> }

const string: Shape = { type: 'string' }
const int: Shape = { type: 'int' }
const bool: Shape = { type: 'bool' }
const strings: Shape = { type: 'map', of: string }
const tags: Shape = { type: 'list', of: string }

function struct(fields: Readonly<Record<string, Shape>>): Shape {
  return { type: 'struct', fields: new Map(Object.entries(fields)) }
}

function list(of: Shape): Shape {
  return { type: 'list', of }
}

const weights = struct({ Passing: int, Warning: int })
const meshGateway = struct({ Mode: string })
const connect = struct({ Native: bool })
const addresses: Shape = { type: 'map', of: struct({ Address: string, Port: int }) }

const exposedPath = struct({
  ListenerPort: int,
  Path: string,
  LocalPathPort: int,
  Protocol: string,
  ParsedFromCheck: bool,
})

const upstream = struct({
  DestinationType: string,
  DestinationNamespace: string,
  DestinationName: string,
  Datacenter: string,
  LocalBindAddress: string,
  LocalBindPort: int,
  MeshGateway: meshGateway,
})

const proxy = struct({
  DestinationServiceName: string,
  DestinationServiceID: string,
  LocalServiceAddress: string,
  LocalServicePort: int,
  Upstreams: list(upstream),
  MeshGateway: meshGateway,
  Expose: struct({ Checks: bool, Paths: list(exposedPath) }),
})

const node = struct({
  ID: string,
  Node: string,
  Address: string,
  Datacenter: string,
  TaggedAddresses: strings,
  Meta: strings,
})

const service = struct({
  Kind: string,
  ID: string,
  Service: string,
  Tags: tags,
  Address: string,
  TaggedAddresses: addresses,
  Meta: strings,
  Port: int,
  Weights: weights,
  EnableTagOverride: bool,
  Proxy: proxy,
  Connect: connect,
})

const check = struct({
  Node: string,
  CheckID: string,
  Name: string,
  Status: string,
  Notes: string,
  Output: string,
  ServiceID: string,
  ServiceName: string,
  ServiceTags: tags,
  Type: string,
})

const serviceOnNode = struct({
  ID: string,
  Node: string,
  Address: string,
  Datacenter: string,
  TaggedAddresses: strings,
  NodeMeta: strings,
  ServiceKind: string,
  ServiceID: string,
  ServiceName: string,
  ServiceTags: tags,
  ServiceAddress: string,
  ServiceTaggedAddresses: addresses,
  ServiceMeta: strings,
  ServicePort: int,
  ServiceWeights: weights,
  ServiceEnableTagOverride: bool,
  ServiceProxy: proxy,
  ServiceConnect: connect,
})

/** What Consul 1.8 lets filters ask of the elements of its lists. */
export const shapes = {
  /** `/catalog/nodes` */
  node,
  /** `/agent/services`, `/catalog/node/:node`, `/catalog/node-services/:node` */
  service,
  /** `/catalog/service/:service` */
  serviceOnNode,
  /** `/agent/checks`, `/health/node/:node`, `/health/checks/:service`, `/health/state/:state` */
  check,
  /** `/health/service/:service` */
  serviceHealth: struct({ Node: node, Service: service, Checks: list(check) }),
} as const
