import { invalidField, SeamarkError } from './errors.ts'
import { limits } from './limits.ts'
import { checkName } from './names.ts'

/** From best to worst, but for maintenance, which overrides all: somebody took the instance out on purpose. */
export const healthStatuses = ['passing', 'warning', 'critical', 'maintenance'] as const
export type HealthStatus = (typeof healthStatuses)[number]

/** What one check last observed. */
export interface CheckResult {
  readonly id: string
  readonly status: HealthStatus
  /** What the check printed or was answered, for people. */
  readonly output: string
}

/** What was observed of an instance: the worst of its checks; without checks, passing. Written by checkers only. */
export interface Health {
  readonly status: HealthStatus
  readonly checks: readonly CheckResult[]
}

/** What a checker says of one check: a result that replaces the former of the same id, or `null`, which withdraws it. */
export interface CheckReport {
  readonly id: string
  readonly status: HealthStatus | null
  /** At most 4 KB is kept (`limits.outputBytes`): the beginning. Default empty. */
  readonly output?: string
}

/** The id of the result that takes an instance out of service until it is withdrawn. */
export const maintenanceCheck = 'maintenance'

/** The one health of everything that has no checks. */
export const passing: Health = Object.freeze({ status: 'passing', checks: Object.freeze([]) })

/** Builds a health from results: its status is the worst of theirs (maintenance, critical, warning, passing). */
export function health(checks: readonly CheckResult[]): Health {
  if (checks.length === 0) return passing
  let worst = 0
  for (const { status } of checks) worst = Math.max(worst, healthStatuses.indexOf(status))
  return Object.freeze({ status: healthStatuses[worst]!, checks: Object.freeze([...checks]) })
}

/**
 * Applies reports to a health. Answers the very same object when nothing changed, so that nothing needs to be written.
 * Throws `invalid_field` when a report is malformed or the health would hold more than 32 results.
 */
export function reported(before: Health, reports: readonly CheckReport[]): Health {
  let checks: CheckResult[] | undefined
  for (const report of reports) {
    const { id, status, output } = checkReport(report)
    const at = (checks ?? before.checks).findIndex((check) => check.id === id)
    const old = (checks ?? before.checks)[at]
    if (status === null) {
      if (old === undefined) continue
      checks ??= [...before.checks]
      checks.splice(at, 1)
    } else if (old === undefined) {
      checks ??= [...before.checks]
      checks.push(Object.freeze({ id, status, output }))
    } else if (old.status !== status || old.output !== output) {
      checks ??= [...before.checks]
      checks[at] = Object.freeze({ id, status, output })
    }
  }
  if (checks === undefined) return before
  if (checks.length > limits.checkResults)
    throw new SeamarkError('invalid_field', `An instance has at most ${limits.checkResults} check results.`, {
      field: 'checks',
    })
  return health(checks)
}

function checkReport({ id, status, output = '' }: CheckReport): Required<CheckReport> {
  checkName('id', id)
  if (status !== null && !healthStatuses.includes(status))
    throw invalidField('status', `must be one of ${healthStatuses.join(', ')}, or null`)
  if (typeof output !== 'string') throw invalidField('output', 'must be a string')
  return { id, status, output: firstBytes(output.toWellFormed(), limits.outputBytes) }
}

/** The longest beginning of `text` that has at most `bytes` bytes of UTF-8 and no half character. */
function firstBytes(text: string, bytes: number): string {
  if (text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes) return text
  return new TextDecoder().decode(Buffer.from(text).subarray(0, bytes), { stream: true })
}

/**
 * The health an instance has once registered: results of the checks it still has are kept, and so is maintenance;
 * a check it had not before starts as its definition says, or critical.
 */
export function registeredHealth(
  checks: readonly { readonly id: string; readonly initial?: HealthStatus }[],
  before: Health | undefined,
): Health {
  if (checks.length === 0 && (before === undefined || before === passing)) return passing
  const kept = new Map(before?.checks.map((check) => [check.id, check]))
  const results = checks.map(
    ({ id, initial = 'critical' }) =>
      kept.get(id) ?? Object.freeze({ id, status: initial, output: 'not checked yet' }),
  )
  const maintenance = kept.get(maintenanceCheck)
  if (maintenance !== undefined) results.push(maintenance)
  return health(results)
}
