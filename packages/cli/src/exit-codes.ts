import type { ErrorCode } from '@seamark/core'

/** What the exit code of the process says, documented in `docs/reference/cli.md` (a test compares them). */
export const exitCodes = {
  ok: { code: 0, meaning: 'It is done; or it was stopped on purpose, by Ctrl-C or SIGTERM.' },
  failure: { code: 1, meaning: 'It failed in a way that has no code of its own; the message says how.' },
  usage: {
    code: 2,
    meaning: 'The command line, a variable, the configuration file or a value was wrong: nothing was done.',
  },
  notFound: { code: 3, meaning: 'The service, or the instance, is not there; or none fits.' },
  unreachable: { code: 4, meaning: 'The server, or its engine, cannot be reached: trying again may help.' },
  conflict: {
    code: 5,
    meaning: 'Somebody else has it: the port, the store, the id, the claim, the item, the lease.',
  },
  refused: { code: 6, meaning: 'The server does not allow it as it is set up.' },
  store: { code: 7, meaning: 'The store is damaged, or of a newer Seamark; it was left as it is.' },
} as const satisfies Record<string, { code: number; meaning: string }>

export type Exit = keyof typeof exitCodes

/** Which exit each error leads to. */
export const exitOf: Readonly<Record<ErrorCode, Exit>> = {
  invalid_request: 'usage',
  invalid_field: 'usage',
  instance_not_found: 'notFound',
  service_not_found: 'notFound',
  no_match: 'notFound',
  route_not_found: 'failure',
  method_not_allowed: 'failure',
  lease_lost: 'conflict',
  id_taken: 'conflict',
  claim_held: 'conflict',
  item_changed: 'conflict',
  too_large: 'usage',
  unsupported_media_type: 'failure',
  headers_too_large: 'failure',
  target_too_long: 'failure',
  request_timeout: 'unreachable',
  unauthenticated: 'refused',
  forbidden: 'refused',
  host_not_allowed: 'refused',
  not_allowed: 'refused',
  too_many: 'unreachable',
  overloaded: 'unreachable',
  keys_unavailable: 'unreachable',
  engine_unavailable: 'unreachable',
  unavailable: 'unreachable',
  attempts_failed: 'unreachable',
  dependencies_missing: 'unreachable',
  draining: 'unreachable',
  timeout: 'unreachable',
  store_in_use: 'conflict',
  store_damaged: 'store',
  store_too_new: 'store',
  closed: 'failure',
  configuration: 'usage',
  internal: 'failure',
}
