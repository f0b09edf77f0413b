/** Keys from `from` on, up to and without `end`. */
export interface KeyRange {
  readonly from: Buffer
  readonly end: Buffer
}

/** etcd's way to say "all after it". */
const boundless = Buffer.of(0)

/** All keys that begin with `prefix`. No byte of UTF-8 is the highest: the last one can be counted up. */
export function keysBelow(prefix: string): KeyRange {
  if (prefix === '') return { from: boundless, end: boundless }
  const from = Buffer.from(prefix)
  const end = Buffer.from(from)
  end[end.length - 1]!++
  return { from, end }
}

/** What of a range is before and after another one inside it. */
export function around(all: KeyRange, { from, end }: KeyRange): readonly KeyRange[] {
  return [
    { from: all.from, end: from },
    { from: end, end: all.end },
  ]
}

/** The smallest range that holds all of these; `undefined` if there are none. */
export function span(ranges: readonly KeyRange[]): KeyRange | undefined {
  let [all] = ranges
  if (all === undefined) return undefined
  for (const { from, end } of ranges)
    all = {
      from: Buffer.compare(from, all.from) < 0 ? from : all.from,
      end: !isBoundless(all.end) && (isBoundless(end) || Buffer.compare(end, all.end) > 0) ? end : all.end,
    }
  return all
}

/** The rest of a range, after a key of it. */
export function after(key: Buffer, { end }: KeyRange): KeyRange {
  return { from: Buffer.concat([key, Buffer.of(0)]), end }
}

function isBoundless(end: Buffer): boolean {
  return end.equals(boundless)
}
