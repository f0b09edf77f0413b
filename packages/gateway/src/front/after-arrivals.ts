/**
 * Calls back once what the system holds by now, bytes and connections, was read: the first turn may be under way already, and
 * look no more.
 */
export function afterArrivals(callback: () => void): void {
  setImmediate(setImmediate, callback)
}
