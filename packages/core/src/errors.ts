/**
 * Every error Seamark throws on purpose has one code from this table, which is documented, row by row,
 * in `docs/reference/errors.md` (a test compares them). `status` is the HTTP status a server answers with.
 */
export const errorCodes = {
  invalid_request: {
    status: 400,
    meaning: 'The request could not be understood; the message says which part.',
  },
  invalid_field: { status: 400, meaning: 'A field has a value that is not allowed; `field` names it.' },
  instance_not_found: { status: 404, meaning: 'No instance of that service has that id.' },
  service_not_found: { status: 404, meaning: 'No instance of that service is registered.' },
  no_match: { status: 404, meaning: 'The service exists, but no healthy instance fits what was asked for.' },
  route_not_found: { status: 404, meaning: 'The server has nothing at that method and path.' },
  lease_lost: { status: 410, meaning: 'The lease expired, was superseded or was revoked: register again.' },
  id_taken: { status: 409, meaning: 'Another service of the namespace holds an instance with that id.' },
  claim_held: { status: 409, meaning: 'Another lease holds the claim.' },
  item_changed: {
    status: 409,
    meaning: 'An item is not at the revision that the write compares with: nothing was written.',
  },
  method_not_allowed: {
    status: 405,
    meaning: 'The route is for other methods; the header `allow` says which.',
  },
  request_timeout: { status: 408, meaning: 'The request took too long to arrive.' },
  too_large: {
    status: 413,
    meaning: 'The request has more bytes, or more elements, than the server accepts.',
  },
  target_too_long: { status: 414, meaning: 'The URL has more characters than the gateway accepts.' },
  unsupported_media_type: {
    status: 415,
    meaning: 'The body must be JSON, with `content-type: application/json`.',
  },
  headers_too_large: {
    status: 431,
    meaning: 'The headers have more bytes, or more fields, than the gateway accepts.',
  },
  unauthenticated: {
    status: 401,
    meaning: 'The route asks for a token, and none came, or none that holds; `details.reason` says which.',
  },
  forbidden: { status: 403, meaning: 'The token holds, but has none of the roles that the route asks for.' },
  host_not_allowed: { status: 421, meaning: 'The Host header names no address of this server.' },
  not_allowed: { status: 403, meaning: 'The server does not allow this until it is told to.' },
  too_many: {
    status: 429,
    meaning: 'A bound on requests, watchers, waiters or connections is reached: try again later.',
  },
  overloaded: {
    status: 503,
    meaning:
      'The gateway sends the service no more for now; `details.reason` says whether too much is under way (`concurrency`) or too much failed (`circuit`).',
  },
  keys_unavailable: {
    status: 503,
    meaning: 'The keys that tokens are verified with cannot be had: try again later.',
  },
  engine_unavailable: {
    status: 503,
    meaning: 'The engine cannot be reached, or did not confirm the write: it may still be carried out.',
  },
  unavailable: {
    status: 503,
    meaning: 'The service has no instance that a request could be sent to: try again later.',
  },
  attempts_failed: {
    status: 502,
    meaning:
      'No instance of the service answered; `details.attempts` says who was tried, and what came of it.',
  },
  dependencies_missing: {
    status: 503,
    meaning:
      'Not all that a package depends on was found; `details.missing` says which services, and why not.',
  },
  draining: { status: 503, meaning: 'The server is shutting down: ask another one.' },
  timeout: { status: 504, meaning: 'What was waited for did not happen in time.' },
  store_in_use: { status: 500, meaning: 'Another process has the store open.' },
  store_damaged: { status: 500, meaning: 'The store cannot be read; it was left as it is.' },
  store_too_new: { status: 500, meaning: 'The store was written by a newer Seamark; it was left as it is.' },
  closed: { status: 500, meaning: 'The object was closed before.' },
  configuration: {
    status: 500,
    meaning: 'An option, a variable, a URL or a file of the configuration is wrong.',
  },
  internal: { status: 500, meaning: 'A bug in Seamark: please report it with the log around it.' },
} as const satisfies Record<string, { status: number; meaning: string }>

export type ErrorCode = keyof typeof errorCodes

export interface ErrorDetails {
  /** The field that was wrong, as a path: `tags/3`, `metadata/team`, `checks/0/interval`. */
  field?: string
  /** What was underneath. */
  cause?: unknown
  /** More of it, for programs: it travels over HTTP, so it must be plain JSON and hold no secret. */
  details?: Readonly<Record<string, unknown>>
}

/** The one error class. Tell errors apart by `code`: it survives HTTP, logs and two copies of this package. */
export class SeamarkError extends Error {
  override readonly name = 'SeamarkError'
  readonly code: ErrorCode
  readonly field?: string
  readonly details?: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = code
    if (details.field !== undefined) this.field = details.field
    if (details.details !== undefined) this.details = details.details
  }

  /** The HTTP status that goes with the code. */
  get status(): number {
    return errorCodes[this.code].status
  }
}

/** Whether `error` is Seamark's own, and, if asked, has that code. */
export function isSeamarkError(error: unknown, code?: ErrorCode): error is SeamarkError {
  return (
    error instanceof Error &&
    error.name === 'SeamarkError' &&
    'code' in error &&
    (code === undefined || error.code === code)
  )
}

export function invalidField(field: string, problem: string): SeamarkError {
  return new SeamarkError('invalid_field', `${field} ${problem}`, { field })
}

export function leaseLost(why: string): SeamarkError {
  return new SeamarkError('lease_lost', `The lease is lost (${why}): register again.`)
}
