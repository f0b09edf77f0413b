/** The same pairs in the order in which Go prints a map: by the bytes of their keys. */
export function sorted<T>(pairs: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(pairs).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  )
}
