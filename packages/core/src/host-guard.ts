import { isIP } from 'node:net'
import { SeamarkError } from './errors.ts'

export interface HostGuardOptions {
  /** What the server is bound to. */
  readonly host: string
  /** Further names it is reached by. */
  readonly allowedHosts: readonly string[]
}

/** Says whether a Host header names this server. Ports are not looked at. */
export type HostGuard = (header: string | undefined) => boolean

/** Different Host headers whose verdict is remembered; clients send few. */
const remembered = 256

/**
 * A web page may reach a loopback server through a name of its own that resolves to 127.0.0.1 (DNS rebinding); the
 * Host header then carries that name. Off loopback, the names a server is reached by are not known: all are let in.
 */
export function hostGuard({ host, allowedHosts }: HostGuardOptions): HostGuard {
  if (!isLoopback(host)) return () => true
  const allowed = new Set(['localhost', '127.0.0.1', '::1', host, ...allowedHosts].map(normal))
  const verdicts = new Map<string, boolean>()
  return (header) => {
    if (header === undefined) return false
    let verdict = verdicts.get(header)
    if (verdict === undefined) {
      const name = hostName(header)
      verdict = name !== undefined && allowed.has(normal(name))
      if (verdicts.size >= remembered) verdicts.clear()
      verdicts.set(header, verdict)
    }
    return verdict
  }
}

export function hostNotAllowed(header: string | undefined): SeamarkError {
  const what =
    header === undefined
      ? 'There is no Host header'
      : `The Host header ${JSON.stringify(header.slice(0, 100))}`
  return new SeamarkError(
    'host_not_allowed',
    `${what}${header === undefined ? '' : ' names no address of this server'}: use localhost, or allow the name with the allowed hosts of the server.`,
    { field: 'host' },
  )
}

/** Whether only this machine can reach a server bound to `host`. */
export function isLoopback(host: string): boolean {
  const name = normal(host)
  return name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'))
}

/** The name or address of `name`, `name:port`, `[::1]` or `[::1]:port`. */
function hostName(header: string): string | undefined {
  return /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]+)(:\d{1,5})?$/.exec(header)?.[1]
}

function normal(host: string): string {
  return host.toLowerCase().replace(/^\[(.*)\]$/, '$1')
}
