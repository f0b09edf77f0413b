/**
 * Measures contestants side by side: in each round every one of them once, in another order each time. What disturbs
 * the machine for a while then disturbs all of them, and a ratio within a round stays true.
 * @template {string} Name
 * @param {Readonly<Record<Name, () => Promise<number>>>} contestants measure once, and answer a speed
 * @param {number} count rounds, after one that only warms up
 */
export async function rounds(contestants, count) {
  /** @param {Name} name */
  const of = (name) => speeds.get(name) ?? []
  const names = /** @type {Name[]} */ (Object.keys(contestants))
  /** @type {Map<Name, number[]>} */
  const speeds = new Map(names.map((name) => [name, []]))
  for (const name of names) await contestants[name]()
  for (let round = 0; round < count; round++) {
    const first = round % names.length
    for (const name of [...names.slice(first), ...names.slice(0, first)])
      of(name).push(await contestants[name]())
  }
  return {
    /** @param {Name} name */
    speed: (name) => median(of(name)),
    /**
     * How many times as fast one is as another, for a figure.
     * @param {Name} one
     * @param {Name} other
     */
    ratio(one, other) {
      const ratios = of(one).map((speed, round) => speed / (of(other)[round] ?? Number.NaN))
      return {
        value: median(ratios),
        unit: 'x',
        details: {
          [`${one}/s`]: median(of(one)),
          [`${other}/s`]: median(of(other)),
          least: Math.min(...ratios),
          most: Math.max(...ratios),
          rounds: count,
        },
      }
    },
  }
}

/** @param {readonly number[]} values */
export function median(values) {
  return percentile(values, 0.5)
}

/**
 * The value that this share of all do not exceed.
 * @param {readonly number[]} values
 * @param {number} share
 */
export function percentile(values, share) {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
