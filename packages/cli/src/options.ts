import { defaultNamespace, healthStatuses, limits } from '@seamark/core'
import {
  choice,
  duration,
  list,
  named,
  onOff,
  pairs,
  text,
  type ValueType,
  whole,
  wholeOr,
} from './value-types.ts'

/** One option, and with it its flag, its environment variable and its key in a configuration file. */
export interface Option<T = unknown, D extends T | undefined = T | undefined> {
  readonly type: ValueType<T>
  /** What it does, for `--help` and the reference: a phrase without a full stop. */
  readonly help: string
  /** Its value when no source gives one. */
  readonly default: D
  /** Another name of the flag. */
  readonly alias?: string
}

export type OptionGroup = Readonly<Record<string, Option>>

/** What the options of a group are once resolved. */
export type Values<G extends OptionGroup> = {
  readonly [K in keyof G]: G[K] extends Option<infer T, infer D>
    ? D extends undefined
      ? T | undefined
      : T
    : never
}

function optional<T>(type: ValueType<T>, help: string, more: { alias?: string } = {}): Option<T, undefined> {
  return { type, help, default: undefined, ...more }
}

function defaulted<T>(
  type: ValueType<T>,
  value: T,
  help: string,
  more: { alias?: string } = {},
): Option<T, T> {
  return { type, help, default: value, ...more }
}

/** Levels of pino, the logger. */
const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const

const port = whole(1, 65_535, 'port')

/** What every command takes. */
export const everywhere = {
  config: optional(
    named('file'),
    'the configuration file; default seamark.yaml, if the current folder has one',
  ),
  json: defaulted(onOff, false, 'print JSON, for programs'),
  verbose: defaulted(onOff, false, 'with errors, print their causes and stack traces'),
}

/** What every command takes that asks a server. */
export const client = {
  url: defaulted(
    named('url'),
    'http://127.0.0.1:8500',
    'the server; of several, joined by commas, the first that answers is asked',
  ),
  namespace: defaulted(named('name'), defaultNamespace, 'the namespace'),
}

export const server = {
  engine: defaulted(
    named('url'),
    'lmdb:./data',
    'where the registry is kept: memory:, lmdb:DIRECTORY, or another engine by its URL',
  ),
  host: defaulted(named('address'), '127.0.0.1', 'the address to listen on', { alias: 'bind' }),
  port: defaulted(whole(0, 65_535, 'port'), 8500, 'the port to listen on; 0 takes a free one'),
  name: optional(
    named('name'),
    "what this server is called among several over one engine; default the host's name and the port",
  ),
  insecure: defaulted(
    onOff,
    false,
    'allow a --host that other machines reach, though there is no access control yet',
  ),
  allowHost: defaulted(
    list(named('name')),
    [],
    'a name, beside its own, that clients may call this server by',
  ),
  allowCommandChecks: defaulted(
    onOff,
    false,
    'let registrations run commands on this machine as health checks',
  ),
  allowForeignChecks: defaulted(
    onOff,
    false,
    "let health checks target other addresses than their instance's own",
  ),
  nodeName: optional(
    named('name'),
    "the node that this server is to Consul's clients, and in DNS; default the host's name",
  ),
  nodeId: optional(named('uuid'), "the node's id; default one that is made of its name"),
  nodeMeta: defaulted(pairs, {}, 'what the node says of itself'),
  datacenter: defaulted(named('name'), 'dc1', "the datacenter that this is to Consul's clients, and in DNS"),
  dnsPort: optional(
    wholeOr('off', 0, 65_535, 'port'),
    'the port to answer DNS on, over UDP and TCP; 0 takes a free one, off none; default 8600, or none if that is taken',
  ),
  domain: defaulted(named('domain'), 'consul', "where Consul's names end in DNS: web.service.consul"),
  altDomain: optional(named('domain'), 'where they end as well'),
  namespaceDomain: defaulted(
    list(named('domain')),
    ['seamark'],
    'where names of services in namespaces end in DNS: web.default.seamark',
  ),
  recursor: defaulted(
    list(named('address')),
    [],
    'a DNS server that is asked about all other names, which are refused without one',
  ),
  dnsNodeTtl: defaulted(duration, 0, 'how long others may keep what DNS says of nodes'),
  dnsServiceTtl: defaulted(
    pairs,
    {},
    'how long they may keep what it says of a service, such as web=10s; a name may end with *',
  ),
  dnsNegativeTtl: defaulted(duration, 1_000, 'how long they may keep that there is no such name'),
  dnsOnlyPassing: defaulted(onOff, false, 'leave instances with a warning out of DNS'),
  dnsUdpAnswerLimit: defaulted(
    whole(1, 8),
    3,
    'the answers in a datagram for one who does not say how much it takes',
  ),
  dnsARecordLimit: defaulted(whole(0, 65_535), 0, 'the addresses in one answer, chosen at random; 0 for all'),
  dnsResponseRate: defaulted(
    whole(0, 1_000_000_000),
    1_000,
    'the datagrams per second that DNS sends to one network (/24, or /56 of IPv6); 0 for any number',
  ),
  dnsResponseRateExempt: defaulted(
    list(named('network')),
    ['127.0.0.0/8', '::1/128'],
    'a network without that limit',
  ),
  logLevel: defaulted(choice(logLevels, 'level'), 'info', `what to log: ${logLevels.join(', ')}`),
  logFormat: defaulted(
    choice(['auto', 'pretty', 'json'], 'format'),
    'auto',
    'how to log, on standard error: pretty, json, or auto: pretty on a terminal, else json',
  ),
}

/** Of the gateway, wherever it runs. */
export const gateway = {
  host: defaulted(named('address'), '127.0.0.1', 'the address to listen on; 0.0.0.0 for everybody'),
  port: defaulted(whole(0, 65_535, 'port'), 8080, 'the port to listen on; 0 takes a free one'),
  routes: optional(
    named('file'),
    'routes, policies and access beyond what instances say, as JSON; read again when it changes',
  ),
  tlsCert: optional(named('file'), 'speak TLS with this certificate, in PEM; read again when it changes'),
  tlsKey: optional(named('file'), 'the key of the certificate, in PEM'),
  trustedProxy: defaulted(
    list(named('network')),
    [],
    'an address or a network of proxies in front, whose word on who asks is believed, such as 10.0.0.0/8',
  ),
  statusPort: optional(
    wholeOr('off', 0, 65_535, 'port'),
    'the port on loopback for /healthz, /readyz, /metrics and /routes; 0 takes a free one, off none; default 8081, or none if that is taken',
  ),
  requestLog: defaulted(
    choice(['all', 'failures', 'off'], 'which'),
    'all',
    'which requests to log: all, failures or off',
  ),
  drainDelay: defaulted(duration, 500, 'how long to go on at the end, for load balancers to notice'),
}

/** Of a gateway that runs by itself. */
export const gatewayAlone = {
  engine: optional(
    named('url'),
    'watch an engine that several processes share, such as etcd://10.0.0.1, instead of a server',
  ),
}

/** Of a gateway that is only looked at: where its routes come from. */
export const gatewayRead = { ...gatewayAlone, routes: gateway.routes, url: client.url }

/** Whether a gateway runs inside the server. */
export const gatewayEnabled = {
  enabled: defaulted(onOff, false, 'bring requests from outside to what is registered here'),
}

/** The gateway's options as the server has them. */
export const gatewayInside = {
  gateway: gatewayEnabled.enabled,
  gatewayHost: gateway.host,
  gatewayPort: gateway.port,
  gatewayRoutes: gateway.routes,
  gatewayTlsCert: gateway.tlsCert,
  gatewayTlsKey: gateway.tlsKey,
  gatewayTrustedProxy: gateway.trustedProxy,
  gatewayStatusPort: gateway.statusPort,
  gatewayRequestLog: gateway.requestLog,
  gatewayDrainDelay: gateway.drainDelay,
}

export const register = {
  port: optional(port, 'the port of the instance (required)'),
  address: optional(
    named('address'),
    'its IP address or host name; default the address this machine reaches the server from',
  ),
  id: optional(
    named('id'),
    'its id; default the service, the address or host name, and the port: api-web1-3000',
  ),
  version: optional(named('version'), 'its semantic version'),
  zone: optional(named('zone'), 'where it runs'),
  scheme: defaulted(named('scheme'), 'http', 'what it speaks: http, https, grpc, tcp'),
  weight: defaulted(whole(0, limits.weight), 1, 'its share of the requests'),
  tag: defaulted(list(named('tag')), [], 'a tag'),
  meta: defaulted(pairs, {}, 'metadata'),
  route: optional(
    named('route'),
    'how gateways expose it: a path, or a host and a path: shop.example/tickets',
  ),
  role: defaulted(list(named('role')), [], 'a role that lets callers in through its route'),
  ttl: optional(
    duration,
    'stay in the foreground and keep renewing the registration; when not renewed for so long, it is forgotten',
  ),
  checkHttp: optional(named('path'), 'check its health: an HTTP GET of this path or URL answers 2xx'),
  checkTcp: defaulted(onOff, false, 'check its health: its port accepts connections'),
  interval: defaulted(duration, 10_000, 'the time between two health checks'),
}

const filters = {
  version: optional(named('range'), 'a range of semantic versions, such as ^2.1'),
  tag: defaulted(list(named('tag')), [], 'a tag it must have'),
  zone: optional(named('zone'), 'the zone it must be in'),
}

export const instances = {
  ...filters,
  health: defaulted(list(choice(healthStatuses, 'status')), [], `its health: ${healthStatuses.join(', ')}`),
  meta: defaulted(pairs, {}, 'metadata it must have'),
}

export const find = {
  ...filters,
  origin: defaulted(onOff, false, 'print it with its scheme: http://127.0.0.1:3000'),
}

export const maintenance = {
  enable: defaulted(onOff, false, 'take the instance out of service'),
  disable: defaulted(onOff, false, 'put it back into service'),
  reason: optional(text, 'why, for those who look at it'),
}

/**
 * The sections of a configuration file, and what begins the environment variables of their options. Options that are in
 * none, such as filters, describe one call: they are flags only.
 */
export const sections = [
  { key: undefined, prefix: 'SEAMARK_', options: { ...everywhere, ...client, ...server } },
  { key: 'register', prefix: 'SEAMARK_REGISTER_', options: register },
  {
    key: 'gateway',
    prefix: 'SEAMARK_GATEWAY_',
    options: { ...gatewayEnabled, ...gatewayAlone, ...gateway },
  },
] as const satisfies readonly {
  key: string | undefined
  prefix: string
  options: OptionGroup
}[]

/** `allowHost` as it is written in flags and in files: `allow-host`. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** `allowHost` as it is written in an environment variable: `SEAMARK_ALLOW_HOST`. */
export function variableName(prefix: string, name: string): string {
  return prefix + kebab(name).replaceAll('-', '_').toUpperCase()
}
