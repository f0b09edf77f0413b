/**
 * Does something `count` times, with so many under way at once.
 * @template T
 * @param {number} count
 * @param {number} inFlight
 * @param {(index: number) => Promise<T>} work
 * @returns {Promise<T[]>} in the order of the indexes
 */
export async function lanes(count, inFlight, work) {
  /** @type {T[]} */
  const results = Array.from({ length: count })
  let next = 0
  const lane = async () => {
    while (next < count) {
      const index = next++
      results[index] = await work(index)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  return results
}
