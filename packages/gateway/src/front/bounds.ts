/**
 * What the gateway takes on at most. Documented in `docs/reference/gateway.md`, which a test holds against this table.
 * Each may be set with `gateway({ bounds })`.
 */
export const defaultBounds = {
  /** Bytes of a request's line and headers together, and of an answer's; more are answered 431, or 502. nginx takes 32 KB. */
  headerBytes: 32_768,
  /** Fields in the headers of a request, and of an answer. */
  headerFields: 200,
  /** Characters of a request's target, path and query; more are answered 414. nginx takes 8 KB. */
  urlBytes: 8_192,
  /** Bytes of a request's body; more are answered 413. Streams are cut when they reach it. */
  bodyBytes: 104_857_600,
  /** Connections open at the same time; more are closed at once. */
  connections: 10_000,
  /** Requests on one connection; after those it is closed, for the load to spread anew. */
  requestsPerConnection: 10_000,
  /** Streams open at the same time on one HTTP/2 connection: what RFC 9113, 6.5.2, calls reasonable, and nginx takes. */
  streams: 128,
  /** Milliseconds that the headers of a request may take to arrive; longer is answered 408. */
  headersTimeout: 15_000,
  /** Milliseconds that a connection may idle between two requests. */
  keepAliveTimeout: 75_000,
  /** Milliseconds until an answer must have begun, unless the route says otherwise; longer is answered 504. */
  answerTimeout: 30_000,
  /** Milliseconds that one instance may take until its answer begins, when another one could be tried. */
  tryTimeout: 15_000,
  /** Further tries at other instances, unless the route says otherwise. */
  retries: 2,
  /** Milliseconds that a body may stand still, whichever way it goes. */
  stillTimeout: 300_000,
  /** Milliseconds that nothing may pass on an upgraded connection, such as a WebSocket. */
  upgradeTimeout: 3_600_000,
  /**
   * Milliseconds that the gateway goes on when it closes, not ready any more, for load balancers and clients to notice; and that a
   * connection may idle from then on.
   */
  drainDelay: 500,
  /** Milliseconds that requests in flight get to finish after that. */
  drainTimeout: 10_000,
} as const satisfies Record<string, number>

export type GatewayBounds = { readonly [name in keyof typeof defaultBounds]: number }
