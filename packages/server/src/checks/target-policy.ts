import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net'
import {
  type CommandCheck,
  type Instance,
  invalidField,
  type ScheduledCheck,
  SeamarkError,
  splitTarget,
} from '@seamark/core'
import { untilAborted } from './until-aborted.ts'

/**
 * What health checks may do to this machine and its network. A server applies it twice: `refuseChecks` when an
 * instance is registered, so that its owner hears of it at once, and `pinned` when a check connects, because names
 * resolve to something else tomorrow and registrations also come in through the engine.
 */
export interface CheckPolicy {
  /** Whether checks may run commands on the server's machine. */
  readonly allowCommandChecks: boolean
  /** Whether checks may connect to another address than their instance's own. */
  readonly allowForeignChecks: boolean
}

export type NetworkCheck = Exclude<ScheduledCheck, CommandCheck>

/** Where a check connects to, as written. */
export interface Target {
  /** The field of the check that says so. */
  readonly field: 'url' | 'target'
  readonly host: string
  readonly port: number
  /** Of HTTP checks. */
  readonly url?: URL
}

/** A target whose name was resolved once and for all. */
export interface PinnedTarget extends Target {
  /** Answers the addresses that were found allowed, and nothing else: for sockets. */
  readonly lookup: LookupFunction
}

/** Asks for all addresses of a name. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>

/**
 * Never connected to, whatever is allowed: behind these addresses clouds hand the machine's own credentials to
 * whoever asks from it. The forms of IPv6 that carry an IPv4 address (IPv4-compatible, NAT64 of RFC 6052, 6to4 of
 * RFC 3056) are listed; IPv4-mapped ones are `normalized` before.
 */
const untouchable = new BlockList()
// Link-local (RFC 3927, RFC 4291): the metadata services of AWS, Azure, Google Cloud and most others.
untouchable.addSubnet('169.254.0.0', 16, 'ipv4')
untouchable.addSubnet('::a9fe:0', 112, 'ipv6')
untouchable.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6')
untouchable.addSubnet('2002:a9fe::', 32, 'ipv6')
untouchable.addSubnet('fe80::', 10, 'ipv6')
// AWS's metadata service over IPv6.
untouchable.addAddress('fd00:ec2::254', 'ipv6')
// Alibaba Cloud's metadata service.
untouchable.addAddress('100.100.100.200', 'ipv4')
untouchable.addAddress('::6464:64c8', 'ipv6')
untouchable.addAddress('64:ff9b::6464:64c8', 'ipv6')
untouchable.addSubnet('2002:6464:64c8::', 48, 'ipv6')

/** Different ways to write "the machine this server runs on". */
const thisMachine = new Set(['localhost', '127.0.0.1', '::1'])

const fix = {
  command: 'Start the server with --allow-command-checks to allow commands.',
  foreign: 'Start the server with --allow-foreign-checks to allow other targets.',
} as const

/**
 * Throws what a registration with checks that are not allowed is to be answered: `not_allowed`, with the field, such
 * as `checks/0/url`; or `invalid_field`, when a target makes no sense together with the instance's address.
 * Names are not resolved here: what they resolve to is checked on every connection.
 */
export function refuseChecks(instance: Instance, policy: CheckPolicy): void {
  for (const [index, check] of instance.checks.entries())
    if (check.type !== 'reported') refuseCheck(check, instance, policy, `checks/${index}`)
}

/** As `refuseChecks`, for one check. */
export function refuseCheck(
  check: ScheduledCheck,
  instance: Instance,
  policy: CheckPolicy,
  path = `checks/${check.id}`,
): void {
  if (check.type === 'command') {
    if (!policy.allowCommandChecks)
      throw refused(`${path}/command`, `runs a command, which this server does not allow. ${fix.command}`)
    return
  }
  const { field, host } = targetOf(check, instance, path)
  if (isUntouchable(host)) throw refused(`${path}/${field}`, untouchableProblem(host))
  if (!policy.allowForeignChecks && !isOwn(host, instance))
    throw refused(
      `${path}/${field}`,
      `targets ${host}, but a check may only target its instance's own address, ${instance.address}. ${fix.foreign}`,
    )
}

/** Where the check connects to. Throws `invalid_field` when its parts do not make a URL. */
function targetOf(check: NetworkCheck, instance: Instance, path = `checks/${check.id}`): Target {
  if (check.type === 'http') {
    const url = parsed(check.url, origin(instance))
    if (url === undefined)
      throw invalidField(`${path}/url`, `makes no URL together with the address ${instance.address}`)
    const port = url.port === '' ? defaultPorts[url.protocol] : Number(url.port)
    return { field: 'url', host: normalized(url.hostname), port: usable(port, `${path}/url`), url }
  }
  const { host, port } =
    check.target === undefined ? { host: instance.address, port: instance.port } : splitTarget(check.target)
  return { field: 'target', host: normalized(host), port: usable(port, `${path}/target`) }
}

/**
 * Resolves where the check connects to, once, and holds the addresses against the policy. Whoever connects through
 * `lookup` connects to exactly those: a name cannot point elsewhere between the check and the connection.
 * Throws `not_allowed`, or the resolver's error.
 */
export async function pinned(
  check: NetworkCheck,
  instance: Instance,
  policy: CheckPolicy,
  signal: AbortSignal,
  resolve: Resolve = (host) => lookup(host, { all: true }),
): Promise<PinnedTarget> {
  refuseCheck(check, instance, policy)
  const target = targetOf(check, instance)
  const family = isIP(target.host)
  const found =
    family === 0 ? await untilAborted(resolve(target.host), signal) : [{ address: target.host, family }]
  const allowed = found.filter(({ address }) => !isUntouchable(address))
  const [first] = allowed
  if (first === undefined)
    throw refused(
      `checks/${check.id}/${target.field}`,
      `targets ${target.host}, which resolves to ${found.map(({ address }) => address).join(', ')}: ${reason}`,
    )
  return {
    ...target,
    lookup: (_host, { all }, callback) => {
      if (all) callback(null, allowed)
      else callback(null, first.address, first.family)
    },
  }
}

/** Whether nothing may ever be sent there. Any spelling of an IP address will do; names are never untouchable. */
export function isUntouchable(host: string): boolean {
  const address = normalized(host)
  const family = isIP(address)
  return family !== 0 && untouchable.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** Whether both mean the same place: names are compared as names, IP addresses by value. */
function isOwn(host: string, { address }: Pick<Instance, 'address'>): boolean {
  const [target, mine] = [normalized(host), normalized(address)]
  return target === mine || (thisMachine.has(target) && thisMachine.has(mine))
}

/**
 * One spelling for each host: lower case, no trailing dot, no zone, no brackets, IPv4 in four decimal parts (the
 * resolver takes `2852039166` and `0xa9.254.43518` for addresses too), IPv4-mapped IPv6 as IPv4.
 */
function normalized(host: string): string {
  const bare = host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/%.*$/, '')
    .replace(/\.$/, '')
  const text = parsed(`http://${bracketed(bare)}`)?.hostname ?? bare.toLowerCase()
  const address = text.replace(/^\[(.*)\]$/, '$1')
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address)
  if (mapped === null) return address
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)]
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** An address as it stands in a URL or in front of a port. */
export function bracketed(host: string): string {
  return isIPv6(host) ? `[${host}]` : host
}

const reason = 'link-local and cloud metadata addresses are never checked, whatever is allowed'

function untouchableProblem(host: string): string {
  return `targets ${host}: ${reason}.`
}

function refused(field: string, problem: string): SeamarkError {
  return new SeamarkError('not_allowed', `${field} ${problem}`, { field })
}

const defaultPorts: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

function usable(port: number | undefined, field: string): number {
  if (!port) throw invalidField(field, 'needs a port, and its instance has none')
  return port
}

function parsed(url: string, base?: string): URL | undefined {
  return URL.canParse(url, base) ? new URL(url, base) : undefined
}

/** What a check's relative URL is relative to. Instances that do not speak HTTPS are asked in plain HTTP. */
function origin({ scheme, address, port }: Instance): string {
  return `${scheme === 'https' ? 'https' : 'http'}://${bracketed(normalized(address))}:${port}`
}
