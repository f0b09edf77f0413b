/** Milliseconds between two sweeps, at least. */
export const sweepInterval = 250

/** Milliseconds without a sweep from which on nobody was there to sweep. */
export const stall = 1_000

/**
 * Leases live in a time of their own, which stands still while nobody sweeps: `swept` is when somebody last did, by the
 * database's clock, and `stalled` how far the leases' time is behind that clock. While the sweeper is late, it is not
 * known by how much: then the latest moment that may turn out to have been now stands in, so that no lease is cut short.
 * `ledger` must be in the FROM clause.
 */
export const ledgerNow = `(CASE
    WHEN clock_timestamp() BETWEEN ledger.swept AND ledger.swept + interval '${stall} ms' THEN clock_timestamp()
    ELSE ledger.swept + interval '${stall} ms'
  END - ledger.stalled)`

/** Milliseconds (`ttl`) from now. */
export const ledgerEnd = (ttl: string): string => `${ledgerNow} + ${ttl} * interval '1 ms'`
