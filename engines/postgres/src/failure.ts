import { isSeamarkError, SeamarkError } from '@seamark/core'

/** A code of PostgreSQL (its manual, appendix A), or of the system; `undefined` if the error has none. */
export function failureCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/** Serialization failure, deadlock: nothing was done, and trying again helps. */
export function isPassing(error: unknown): boolean {
  const code = failureCode(error)
  return code === '40001' || code === '40P01'
}

/** Undefined table, invalid schema name: somebody dropped the schema, or nobody made it yet. */
export function isMissing(error: unknown): boolean {
  const code = failureCode(error)
  return code === '42P01' || code === '3F000'
}

/** What every failure of the driver and the database becomes; our own errors stay what they are. */
export function unavailable(cause: unknown): SeamarkError {
  if (isSeamarkError(cause)) return cause
  return new SeamarkError('engine_unavailable', `PostgreSQL is not available (${reason(cause)}).`, { cause })
}

export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Of a host with several addresses, none of which answered: the message is empty.
  if (error.message === '' && error instanceof AggregateError) return error.errors.map(reason).join(', ')
  return error.message.replace(/\.$/, '')
}

export function closed(): SeamarkError {
  return new SeamarkError('closed', 'The engine was closed.')
}
