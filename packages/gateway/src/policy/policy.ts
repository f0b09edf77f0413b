import type { Selection } from '@seamark/core'

/** What protects the service of a rule, and its callers. All off by default. */
export interface Policy {
  /** Requests of this rule under way at once; more are answered 503. */
  readonly concurrency?: number
  readonly rate?: RateLimit
  readonly circuit?: Circuit
  readonly fallback?: FallbackPolicy
  readonly canary?: Canary
}

export interface RateLimit {
  /** So many requests … */
  readonly requests: number
  /** … in so many milliseconds, evenly; more are answered 429. Default 1 s. */
  readonly per: number
  /** At once, after a pause. Default as many as `requests`. */
  readonly burst: number
  /** Counted for each client's address, or for all together. Default for each client. */
  readonly by: 'client' | 'rule'
}

/** Nothing is sent for a while when too much of it failed. The defaults are Hystrix's. */
export interface Circuit {
  /** The share of failures that opens it, 0–1. Default 0.5. */
  readonly failures: number
  /** Requests that must have been seen for that. Default 20. */
  readonly volume: number
  /** Milliseconds that are looked at. Default 10 s. */
  readonly window: number
  /** Milliseconds until one request may try again. Default 5 s. */
  readonly rest: number
}

export type FallbackPolicy =
  | { readonly type: 'static'; readonly status: number; readonly contentType: string; readonly body: string }
  /** `service`, of the rule's own namespace, or `namespace/service`. */
  | { readonly type: 'service'; readonly service: string }
  /** `maxAge` in ms. Default 1 h. */
  | { readonly type: 'last-good'; readonly maxAge: number }

/** Some requests are for other instances than the rest. */
export interface Canary {
  /** The instances that are tried out: `{ version: "^2" }`. All others get what is left. */
  readonly select: Selection
  /** The share of requests that they get, 0–1. Default 0: only those that are pinned. */
  readonly share: number
  /** Requests with this header, or cookie, of this value, are theirs whatever the share; with another value never. */
  readonly header?: Pin
  readonly cookie?: Pin
}

export interface Pin {
  /** Of a header in lower case. */
  readonly name: string
  readonly value: string
}
