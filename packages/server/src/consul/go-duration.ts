const nanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 6e10,
  h: 3.6e12,
}

/** Milliseconds of a duration as Go writes it (`1h15m30.5s`), or `undefined`: it is none. */
export function goDuration(text: string): number | undefined {
  const [, sign = '', rest = ''] = /^([+-]?)(.*)$/s.exec(text) ?? []
  if (rest === '0') return 0
  if (!/^((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) return undefined
  let sum = 0
  for (const [, number, unit] of rest.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g))
    sum += Number(number) * nanoseconds[unit!]!
  // What Go keeps in 64 bits.
  if (sum >= 2 ** 63) return undefined
  return ((sign === '-' ? -1 : 1) * sum) / 1e6
}

/** Why Go says that it is no duration. */
export function durationProblem(text: string): string {
  const quoted = JSON.stringify(text)
  for (let rest = text.replace(/^[+-]/, ''); rest !== ''; ) {
    const [whole, number = '', unit = ''] = /^(\d*\.?\d*)([^\d.]*)/.exec(rest)!
    if (!/^(\d+\.?\d*|\.\d+)$/.test(number)) break
    if (unit === '') return `time: missing unit in duration ${quoted}`
    if (nanoseconds[unit] === undefined)
      return `time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`
    rest = rest.slice(whole.length)
  }
  return `time: invalid duration ${quoted}`
}

/** Milliseconds as Go prints them: `1m30s`, `1.5s`, `250ms`, `0s`. */
export function printDuration(ms: number): string {
  if (ms === 0) return '0s'
  const sign = ms < 0 ? '-' : ''
  const whole = Math.abs(ms)
  if (whole < 1_000) return `${sign}${whole < 1 ? `${whole * 1_000}µs` : `${whole}ms`}`
  const hours = Math.floor(whole / 3_600_000)
  const minutes = Math.floor(whole / 60_000) % 60
  const seconds = `${Number(((whole % 60_000) / 1_000).toFixed(9))}s`
  return `${sign}${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}`
}
