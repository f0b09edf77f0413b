/**
 * What a benchmark measured, and what DESIGN asks for.
 * @typedef {{ readonly atLeast: number } | { readonly below: number }} Goal
 *
 * @typedef {object} Figure
 * @property {string} what
 * @property {number} value
 * @property {string} unit `x` for a ratio
 * @property {Goal} [goal] a figure without one is only told
 * @property {Readonly<Record<string, number | string>>} [details] what it was derived from
 *
 * @typedef {object} Options
 * @property {boolean} smoke whether to run briefly, to see that it works: figures then mean nothing
 * @property {string} directory empty, removed afterwards
 * @property {(figure: Figure) => void} report
 * @property {(text: string) => void} note tells what could not be measured here, and why
 *
 * @typedef {object} Benchmark
 * @property {string} name
 * @property {string} title
 * @property {Readonly<Record<string, Goal>>} goals
 * @property {(options: Options) => Promise<void>} run throws when something is broken, never because it is slow
 */

/**
 * Whether a figure reaches its goal; `undefined` without one.
 * @param {Figure} figure
 */
export function reached({ value, goal }) {
  if (goal === undefined) return undefined
  return 'atLeast' in goal ? value >= goal.atLeast : value < goal.below
}

/**
 * Throws unless something was measured.
 * @param {Figure} figure
 */
export function checkFigure({ what, value }) {
  if (!(Number.isFinite(value) && value > 0)) throw new Error(`Nothing was measured: ${what} is ${value}.`)
}

/**
 * One line, for people.
 * @param {Figure} figure
 * @param {boolean} smoke whether it says nothing of the goal
 */
export function figureLine(figure, smoke) {
  const { what, value, unit, goal, details = {} } = figure
  const parts = [what.padEnd(46), `${amount(value)} ${unit}`.padStart(18)]
  if (goal !== undefined) {
    const [sign, bound] = 'atLeast' in goal ? ['at least', goal.atLeast] : ['under', goal.below]
    parts.push(
      `  goal: ${sign} ${amount(bound)} ${unit}${smoke ? '' : reached(figure) ? ', reached' : ', MISSED'}`,
    )
  }
  const words = Object.entries(details).map(
    ([name, value]) => `${name} ${typeof value === 'number' ? amount(value) : value}`,
  )
  if (words.length > 0) parts.push(`  (${words.join(', ')})`)
  return parts.join('')
}

/**
 * Three digits that count, and whole numbers as they are.
 * @param {number} value
 */
function amount(value) {
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en', { maximumFractionDigits: digits })
}
