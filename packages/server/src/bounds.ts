/**
 * What the server takes on at most. Documented in `docs/reference/limits.md`, which a test holds against this table.
 * Each may be set with `server({ bounds })`.
 */
export const defaultBounds = {
  /** Bytes of a request's body. */
  bodyBytes: 262_144,
  /** Bytes of the body of a renewal, which may carry 10,000 tokens. */
  renewBodyBytes: 1_048_576,
  /** Bytes of the body of a write of items, whose values are in base64. */
  writeBodyBytes: 1_048_576,
  /** Bytes of the body of a presence, which may carry 10,000 tokens. */
  presenceBodyBytes: 1_048_576,
  /** Characters of a request's target: path and query. */
  urlBytes: 32_768,
  /** Bytes of a request's line and headers together. */
  headerBytes: 65_536,
  /** Connections open at the same time; more are closed at once. */
  connections: 50_000,
  /** Streams of `/api/v1/watch`, and as many of `/api/v1/items/watch`; more are answered 429 `too_many`. */
  watchers: 20_000,
  /** Streams of `/api/v1/presence`; more are answered 429 `too_many`. */
  presenceStreams: 20_000,
  /** Leases presented by all of them together; more are answered 429 `too_many`. */
  presenceLeases: 1_000_000,
  /** Milliseconds that a client whose streams of presence closed has to come back, before its leases are ended. */
  presenceGrace: 1_000,
  /** Requests that wait with `?index=`; more are answered 429 `too_many`. */
  waiters: 20_000,
  /** Changes kept so that a watcher can resume; one that missed more gets a reset. */
  historyChanges: 100_000,
  /** Keys that changed while one watcher did not read; past that it gets a reset. */
  watcherKeys: 10_000,
  /** Bytes of answers kept ready to be sent again. */
  answerBytes: 67_108_864,
  /** Milliseconds that a request's headers may take to arrive. */
  headersTimeout: 10_000,
  /** Milliseconds that a whole request may take to arrive. */
  requestTimeout: 30_000,
  /** Milliseconds that a connection may idle between two requests. */
  keepAliveTimeout: 75_000,
  /** Milliseconds that a write may take to come back through the engine's watch. */
  visibleTimeout: 10_000,
  /** Milliseconds that requests in flight get to finish when the server closes. */
  drainTimeout: 2_000,
} as const satisfies Record<string, number>

export type Bounds = { readonly [name in keyof typeof defaultBounds]: number }

/** Elements of one request; part of the protocol, so not for operators to set. */
export const requestLimits = {
  /** Tokens of one renewal. */
  renewTokens: 10_000,
  /** Tokens that one client presents. */
  presenceTokens: 10_000,
  /** Check results of one report. */
  reports: 32,
  /** Services on a page of their list. */
  servicesPage: 1_000,
  /** Instances on a page of a service. */
  instancesPage: 10_000,
  /** Items on a page of their list. */
  itemsPage: 1_000,
  /** Bytes of values after which a page of items ends. */
  itemsPageBytes: 1_048_576,
  /** Milliseconds that `?wait=` may ask for: Consul's longest too. */
  wait: 600_000,
} as const
