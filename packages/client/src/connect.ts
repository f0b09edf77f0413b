import {
  type Clock,
  type Duration,
  defaultNamespace,
  type Engine,
  memory,
  milliseconds,
  type Notice,
  type Notify,
  systemClock,
} from '@seamark/core'
import { DeferredEngine } from './deferred-engine.ts'
import { Discovery } from './discovery.ts'
import { http } from './http.ts'
import { engineScheme, openSource } from './open-engine.ts'
import type { DispatcherOptions } from './traffic/service-dispatcher.ts'
import { serverUrls } from './transport.ts'

export interface ConnectOptions {
  /** For names that say none themselves. Default `default`. */
  readonly namespace?: string
  /**
   * A file in which what is known of the services is kept, mode 0600: with the registry away, the next run starts with
   * it. Default: none.
   */
  readonly cache?: string
  /** How long a find waits for the first contact, in ms or as `"5s"`. Default 5 s. */
  readonly wait?: Duration
  /**
   * Deregister what was announced when the process gets SIGTERM or SIGINT, or dies of an uncaught exception. A signal that
   * nobody else listens to takes its effect afterwards. Default true.
   */
  readonly signals?: boolean
  /** How requests go to services: of `discovery.fetch`, `discovery.request` and `Service.fetch`. */
  readonly traffic?: DispatcherOptions
  /** Told what its operator should know of. Default: warnings and errors become warnings of the process. */
  readonly notify?: Notify
  /** Default the system's. */
  readonly clock?: Clock
}

/** Where a Seamark server listens unless told otherwise. */
const defaultUrl = 'http://127.0.0.1:8500'

/**
 * Connects to a registry: a Seamark server (`http://host:8500`, several joined by commas), or an engine in this process
 * (`memory:`, and any other scheme with its package installed; see `openEngine`). From what can only be read (`dns:`) it
 * finds, and `announce` throws `configuration`. It answers at once and works with the registry away. Default URL: `SEAMARK_URL`, else `http://127.0.0.1:8500`. Throws `configuration` for a URL that is none,
 * `invalid_field` for options that are wrong.
 */
export function connect(url?: string, options: ConnectOptions = {}): Discovery {
  const target = url ?? (process.env.SEAMARK_URL || defaultUrl)
  const { clock = systemClock, namespace = defaultNamespace, cache, wait = 5_000, signals = true } = options
  const notify = careful(options.notify ?? warn)
  return new Discovery({
    engine: engineOf(target, { clock, notify }),
    hosts: hostsOf(target),
    clock,
    notify,
    namespace,
    cache,
    wait: milliseconds('wait', wait),
    signals,
    traffic: options.traffic ?? {},
  })
}

function engineOf(url: string, options: { clock: Clock; notify: Notify }): Engine {
  const scheme = engineScheme(url)
  if (scheme === 'http' || scheme === 'https') return http(url, options)
  if (scheme === 'memory') return memory(options)
  return new DeferredEngine(scheme, () => openSource(url, options))
}

/** The hosts in `scheme://a:1,b:2/path` and `http://a:1,http://b:2`; none in `memory:` or `lmdb:./data`. */
function hostsOf(url: string): readonly string[] {
  const hosts: string[] = []
  for (const part of serverUrls(url)) {
    const authority = /^(?:[a-z][a-z0-9-]*:\/\/)?(?:[^/@]*@)?(\[[^\]]+\]|[^/:?#]+)/.exec(part)
    if (authority?.[1] !== undefined && (part.includes('://') || hosts.length > 0)) hosts.push(authority[1])
  }
  return hosts
}

function warn({ level, event, message }: Notice): void {
  if (level !== 'info') process.emitWarning(message, { type: 'SeamarkWarning', code: event })
}

/** One who listens and throws must not break what it listens to. */
function careful(notify: Notify): Notify {
  return (notice) => {
    try {
      notify(notice)
    } catch (error) {
      process.emitWarning(
        `A listener threw: ${error instanceof Error ? error.stack : error}`,
        'SeamarkWarning',
      )
    }
  }
}
