import { type Clock, type Entry, type Instance, instanceId, type ScheduledCheck, sleep } from '@seamark/core'
import type { Outcome } from './check-runner.ts'
import { runCheck } from './run-check.ts'
import { Schedule } from './schedule.ts'
import type { Slots } from './slots.ts'
import type { CheckPolicy } from './target-policy.ts'
import { untilAborted } from './until-aborted.ts'
import { Verdict } from './verdict.ts'

export interface CheckTaskSetting {
  readonly clock: Clock
  readonly slots: Slots
  readonly policy: CheckPolicy
}

/** A timer that is this much late (ms) tells that the process stood still, and could not have seen an answer. */
const stalled = 250

/** One check of one instance, run again and again: at once, then on the beats of its schedule, until it is cancelled. */
export class CheckTask {
  readonly check: ScheduledCheck
  readonly verdict: Verdict
  /** What is checked; may be replaced by another state of it, which the next run looks at. */
  instance: Instance
  /** Resolves when the task was cancelled and its last run is over. Rejects if `observed` throws. */
  readonly ended: Promise<void>
  readonly #setting: CheckTaskSetting
  readonly #observed: (task: CheckTask) => void
  readonly #stop = new AbortController()
  #criticalFor = 0
  #observedAt: number

  /** `observed` is called after every run. */
  constructor(
    { instance, health }: Entry,
    check: ScheduledCheck,
    setting: CheckTaskSetting,
    observed: (task: CheckTask) => void,
  ) {
    this.instance = instance
    this.check = check
    this.verdict = new Verdict(
      check,
      health.checks.find(({ id }) => id === check.id),
    )
    this.#setting = setting
    this.#observed = observed
    this.#observedAt = setting.clock.now()
    this.ended = this.#follow()
  }

  /** Whether it was seen critical, without a break, for as long as its definition tolerates. */
  get hopeless(): boolean {
    return this.check.deregisterAfter !== undefined && this.#criticalFor >= this.check.deregisterAfter
  }

  /** Counts the time of being critical from now. */
  forgive(): void {
    this.#criticalFor = 0
  }

  cancel(): void {
    this.#stop.abort()
  }

  async #follow(): Promise<void> {
    const { clock, slots } = this.#setting
    const { signal } = this.#stop
    const schedule = new Schedule(`${instanceId(this.instance)}\u0000${this.check.id}`, this.check.interval)
    let planned = clock.now()
    try {
      for (;;) {
        await slots.run(signal, () => this.#run())
        planned = schedule.after(Math.max(planned, clock.now()))
        await sleep(clock, planned - clock.now(), signal)
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** Over when nothing of the run is left, which may be later than its outcome. */
  async #run(): Promise<void> {
    const { check, instance } = this
    const { clock, policy } = this.#setting
    const stop = this.#stop.signal
    const run = new AbortController()
    const cancel = () => run.abort()
    stop.addEventListener('abort', cancel, { once: true })
    let deadline = clock.now() + check.timeout
    const expire = () => {
      if (clock.now() - deadline < stalled) return run.abort()
      deadline = clock.now() + check.timeout
      timer = clock.after(check.timeout, expire)
    }
    let timer = clock.after(check.timeout, expire)
    const running = runCheck(check, { instance, policy, signal: run.signal })
    const late: Outcome = { status: 'critical', output: `No result within ${check.timeout} ms` }
    try {
      const outcome = await untilAborted(running, run.signal).catch(() => late)
      if (!stop.aborted) this.#observe(outcome)
    } finally {
      timer.cancel()
      stop.removeEventListener('abort', cancel)
      // A command that cannot be killed, as one that waits for a dead disk, keeps its slot, and is not run a second time.
      await running.catch(() => {})
    }
  }

  #observe(outcome: Outcome): void {
    const wasCritical = this.verdict.status === 'critical'
    this.verdict.observe(outcome)
    const now = this.#setting.clock.now()
    // Time in which nobody looked, as when the server was suspended, is no time of being seen critical.
    const seen = Math.min(now - this.#observedAt, 2 * this.check.interval)
    this.#criticalFor = wasCritical && this.verdict.status === 'critical' ? this.#criticalFor + seen : 0
    this.#observedAt = now
    this.#observed(this)
  }
}
