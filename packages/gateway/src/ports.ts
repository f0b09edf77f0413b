import type { IncomingHttpHeaders } from 'node:http'
import type { Entry, Route, Selection, ServiceKey, Snapshot } from '@seamark/core'
import type { Policy } from './policy/policy.ts'

/**
 * The seams between the rooms of the gateway. A request goes one way through them: the front reads it (`Inquiry`), the
 * route table names its rule, access tells who asks, the rule's guard lets it in, the proxy sends it on, and telemetry
 * hears what came of it.
 */

/** A request from outside, before anything was decided about it. */
export interface Inquiry {
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** The host asked for: lower case, without a port. Empty when the request named none. */
  readonly host: string
  /** Without dot segments and without the query; what is percent-encoded is as the client sent it. */
  readonly path: string
  /** With its "?"; or empty. */
  readonly query: string
  /** Names in lower case. Made when first asked for: for one or two of them, `header` costs less. */
  readonly headers: IncomingHttpHeaders
  /** The IP address of who asks: the connection's, or what a trusted proxy says. */
  readonly client: string
  /** The header of that name, in lower case; several of that name joined, as RFC 9110, 5.3, has it. */
  header(name: string): string | undefined
}

/** One line of the route table: which requests go to whom, and how. The same object while nothing in it changes. */
export interface Rule {
  /** Unique in the table, and the same after a restart: for logs, metrics and people, such as `tickets/tickets`. */
  readonly name: string
  readonly route: Route
  readonly service: ServiceKey
  /** Which of the service's instances; default all that say this route, or, for a rule of a file, all. */
  readonly filter: Selection | undefined
  readonly policy: Policy
  /** Who said so, for people: `instances of tickets`, `tag urlprefix-/tickets of tickets`, `gateway.json`. */
  readonly origin: string
}

/** A rule that is not in force, as another one is for the very same requests. */
export interface Conflict {
  readonly rule: Rule
  readonly winner: Rule
}

/** Nothing fits: no rule at all, or none for this method, with those that would do. */
export interface Mismatch {
  readonly allow: readonly string[] | undefined
}

/** Frozen: a change of routes makes another table. */
export interface RouteTable {
  /** In force, in the order in which they are looked at. */
  readonly rules: readonly Rule[]
  readonly conflicts: readonly Conflict[]
  match(method: string, host: string, path: string): Rule | Mismatch
}

/** The route table as it is now. */
export interface Routes extends AsyncDisposable {
  readonly table: RouteTable
  /** The instances that a rule sends to: the same object until something in them changes. */
  snapshot(rule: Rule): Snapshot
  subscribe(listener: (table: RouteTable) => void): Disposable
}

/** Who asks, as a token says that was verified. */
export interface Identity {
  readonly subject: string | undefined
  readonly roles: readonly string[]
  /** For the instance, as `x-seamark-identity`: JSON in ASCII. */
  readonly header: string
}

/** Who may ask. */
export interface Access {
  /**
   * Who asks; `undefined` when the rule wants no token and none came that holds. Throws `unauthenticated` and `forbidden`
   * (`challenge(error)` is their `www-authenticate`), `not_allowed` for a rule with roles while no access is set up, and
   * `keys_unavailable`. Answers at once where it can.
   */
  admit(rule: Rule, inquiry: Inquiry): Identity | undefined | Promise<Identity | undefined>
}

/**
 * What came of a request that was let in. `failure`: the service answered 5xx, or nobody of it answered in time or at all.
 * `cancelled`: nothing can be said of the service, as the client went away first.
 */
export type Outcome = 'success' | 'failure' | 'cancelled'

/** One request that was let in. Each method counts the first time it is called. */
export interface Pass {
  /** As soon as it is known how the service fares: with the head of its answer, or when there will be none. */
  settle(outcome: Outcome): void
  /** All of it is through, or given up. Unless it was settled before, it is `cancelled`. */
  leave(): void
}

/**
 * Some of a rule's instances, to be balanced among themselves. The same object for as long as the rule's policy is the
 * same: whatever is kept for it may be kept in a `WeakMap`.
 */
export interface Part {
  readonly name: 'all' | 'canary' | 'rest'
  /** What is in it of a snapshot of the rule's: the same object for the same snapshot. */
  of(snapshot: Snapshot): Snapshot
}

/** Lets the requests of one rule in, as far as its policy allows. Outlives changes of the rule that leave its policy. */
export interface Guard {
  /** Throws `too_many` (rate) and `overloaded` (concurrency, circuit), with `details.retryAfter` in seconds. */
  enter(inquiry: Inquiry): Pass
  /** Which instances this request is for. Asked once for each, as chance may decide it. */
  part(inquiry: Inquiry): Part
  readonly fallback: Fallback | undefined
}

/** An answer in place of the service's. */
export interface Substitute {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Buffer
}

/** What is said when a service has nobody: nobody is there, nobody answered, or its circuit is open. */
export interface Fallback {
  /** Keeps the answer, if it is one to be kept; fed with what the service says, before the gateway adds anything. */
  record(inquiry: Inquiry, status: number, headers: IncomingHttpHeaders): Recorder | undefined
  substitute(inquiry: Inquiry): Substitute | ServiceKey | undefined
}

export interface Recorder {
  data(chunk: Buffer): void
  /** It was whole. */
  end(): void
}

/** What is told of a request when it is over. */
export interface Report {
  /** What the client got, from whoever; 0 when it went away before. */
  readonly status: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Who answered. */
  readonly entry: Entry | undefined
  /** How many instances were tried. */
  readonly tries: number
  /**
   * Why an instance's answer is not what the client got, whole: what the gateway answered itself, also where a fallback did so instead;
   * what broke an answer off; an `AbortError` when the client went away.
   */
  readonly error: Error | undefined
  readonly identity: Identity | undefined
}

/** A request on its way, as telemetry follows it. */
export interface Passage {
  /** For the instance: W3C trace context. */
  readonly traceparent: string | undefined
  readonly tracestate: string | undefined
  /** Its rule is known. */
  routed(rule: Rule): void
  ended(report: Report): void
}

export interface Telemetry {
  begin(inquiry: Inquiry): Passage
  /** One that could not be read, of the client with that address: it was turned away before anybody knew what it asks for. */
  refused(error: Error, client: string): void
}
