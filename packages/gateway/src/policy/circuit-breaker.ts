import type { Clock } from '@seamark/core'
import type { Outcome } from '../ports.ts'
import type { Circuit } from './policy.ts'

export type CircuitState = 'closed' | 'open' | 'half-open'

/** A turn of the circuit, from one change of its state to the next. */
export type Epoch = number

/** Into how many parts the window is cut: what is looked at is up to a tenth of it less. */
const slots = 10
/** Milliseconds that who comes while the circuit is tried is told to wait. */
const trial = 1_000

/** Cuts a service off that fails, and lets one request at a time find out whether it still does. */
export class CircuitBreaker {
  readonly #clock: Clock
  readonly #setting: Circuit
  readonly #changed: (state: CircuitState) => void
  #state: CircuitState = 'closed'
  #epoch: Epoch = 0
  #openUntil = 0
  #isTried = false
  /** Outcomes by slot of the window, and all of them. */
  readonly #all = new Uint32Array(slots)
  readonly #failed = new Uint32Array(slots)
  #requests = 0
  #failures = 0
  /** The slot of now, counted from the clock's beginning. */
  #slot = 0

  constructor(setting: Circuit, clock: Clock, changed: (state: CircuitState) => void) {
    this.#setting = setting
    this.#clock = clock
    this.#changed = changed
  }

  /** 0: a request may enter. Otherwise the milliseconds after which one may. */
  enter(): number {
    if (this.#state === 'closed') return 0
    if (this.#state === 'open') {
      const left = this.#openUntil - this.#clock.now()
      if (left > 0) return left
      this.#turn('half-open')
    }
    if (this.#isTried) return trial
    this.#isTried = true
    return 0
  }

  /** What `settle` wants to know of a request that entered now. */
  get epoch(): Epoch {
    return this.#epoch
  }

  /** What came of a request. That of one that entered before the state changed says nothing any more. */
  settle(epoch: Epoch, outcome: Outcome): void {
    if (epoch !== this.#epoch) return
    if (this.#state === 'half-open') {
      if (outcome === 'success') this.#turn('closed')
      else if (outcome === 'failure') this.#open()
      else this.#isTried = false
      return
    }
    if (outcome === 'cancelled') return
    this.#advance()
    const slot = this.#slot % slots
    this.#all[slot]!++
    this.#requests++
    if (outcome === 'success') return
    this.#failed[slot]!++
    this.#failures++
    const { volume, failures } = this.#setting
    if (this.#requests >= volume && this.#failures >= failures * this.#requests) this.#open()
  }

  #open(): void {
    this.#openUntil = this.#clock.now() + this.#setting.rest
    this.#turn('open')
  }

  #turn(state: CircuitState): void {
    this.#state = state
    this.#epoch++
    this.#isTried = false
    if (state === 'closed') this.#forget()
    this.#changed(state)
  }

  #forget(): void {
    this.#all.fill(0)
    this.#failed.fill(0)
    this.#requests = 0
    this.#failures = 0
  }

  /** Forgets what is older than the window. */
  #advance(): void {
    const slot = Math.floor((this.#clock.now() * slots) / this.#setting.window)
    if (slot - this.#slot >= slots) this.#forget()
    else
      while (this.#slot < slot) {
        const oldest = ++this.#slot % slots
        this.#requests -= this.#all[oldest]!
        this.#failures -= this.#failed[oldest]!
        this.#all[oldest] = 0
        this.#failed[oldest] = 0
      }
    this.#slot = slot
  }
}
