/** Milliseconds between two sweeps, at least. */
export const sweepInterval = 250

/**
 * Milliseconds that may go by from one sweep to the next; the leases' time goes on by no more. It is four intervals, so
 * that where sweeps are slow for long, as on a machine without a free processor, leases do not last much longer for it.
 */
export const stall = 1_000

/** Milliseconds that a sweep may take to become visible to those who renew meanwhile. */
const margin = 750

/**
 * Leases live in a time of their own, which stands still while nobody sweeps: `swept` is when somebody last did, by the
 * database's clock, and `stalled` how far the leases' time is behind that clock. While the sweeper is late, it is not
 * known by how much: then a moment that is late enough stands in, so that no lease is cut short.
 * `ledgerOf(schema)` must be in the FROM clause.
 */
export const ledgerNow = `(CASE
    WHEN clock_timestamp() BETWEEN ledger.swept AND ledger.swept + interval '${stall + margin} ms' THEN clock_timestamp()
    ELSE ledger.swept + interval '${stall + margin} ms'
  END - ledger.stalled)`

/** Milliseconds (`ttl`) from now. */
export const ledgerEnd = (ttl: string): string => `${ledgerNow} + ${ttl} * interval '1 ms'`

/**
 * The one row of the ledger, as a table `ledger`. Of a table without statistics, PostgreSQL expects thousands of rows
 * unless it is told otherwise, and then it compiles (JIT) what is done with them: half a second, each time.
 */
export const ledgerOf = (schema: string): string => `(SELECT * FROM ${schema}.ledger LIMIT 1) AS ledger`
