import {
  Backoff,
  type Claim,
  type Clock,
  displayName,
  isSeamarkError,
  type Notify,
  type Registry,
  type Revision,
  SeamarkError,
  type Snapshot,
  sleep,
  type Tenure,
} from '@seamark/core'
import { primaryClaim, primaryHolder } from './primary.ts'
import type { Service } from './service.ts'

/** The time for which an instance is the primary of its service. */
export interface Primacy {
  /** A fencing number: higher with each new primary. Send it along with what only a primary may do. */
  readonly fence: Revision
  /**
   * Aborts as soon as the instance is known, or has to assume, to be the primary no more: its lease was not renewed for a
   * TTL, somebody else was seen to hold the claim, or the announcement closes.
   */
  readonly lost: AbortSignal
}

export interface CampaignOptions {
  readonly engine: Pick<Registry, 'claim'>
  readonly clock: Clock
  readonly notify: Notify
  /** The service of which to become the primary. */
  readonly service: Service
  readonly tenure: Tenure
  /** What the primary does. Once it throws or rejects, another instance gets its turn. */
  readonly elected: (primacy: Primacy) => unknown
}

/**
 * Milliseconds, half to one and a half of it, after which a claim that others hold is tried again though nobody was seen
 * to hold it.
 */
const recheck = 5_000

/** Stands for primary with one lease, again and again, until disposed of. */
export class Campaign implements Disposable {
  readonly #options: CampaignOptions
  readonly #ending = new AbortController()
  readonly #backoff = new Backoff({ first: 200 })
  readonly #subscription: Disposable
  #wake = nothing

  constructor(options: CampaignOptions) {
    this.#options = options
    this.#subscription = options.service.subscribe(() => this.#wake())
    void this.#run()
  }

  [Symbol.dispose](): void {
    this.#ending.abort(over())
    this.#subscription[Symbol.dispose]()
    this.#wake()
  }

  async #run(): Promise<void> {
    const { engine, service, tenure } = this.#options
    while (!this.#ending.signal.aborted) {
      try {
        const before = service.snapshot
        const claim = this.#isExpired() ? undefined : await engine.claim(primaryClaim, tenure.lease)
        if (claim === undefined) {
          await this.#vacancy(before)
          continue
        }
        await this.#reign(claim)
      } catch (error) {
        // The announcement finds out, and registers again: with the new lease comes another campaign.
        if (isSeamarkError(error, 'lease_lost')) tenure.doubt()
      }
      await this.#pause()
    }
  }

  /**
   * Until nobody else is seen to be the primary. The view may be behind, and not show yet who is: hence the first wait,
   * unless something changed since the snapshot `before`.
   */
  async #vacancy(before: Snapshot): Promise<void> {
    const { service, tenure } = this.#options
    const wait = () => this.#change(recheck * (0.5 + Math.random()))
    const own = tenure.lease.key.id
    if (service.snapshot === before) await wait()
    while (!this.#ending.signal.aborted && (primaryHolder(service.snapshot)?.id ?? own) !== own) await wait()
    this.#backoff.reset()
  }

  /** For as long as the claim is held. Throws what the work of the primary throws, after letting go. */
  async #reign(claim: Claim): Promise<void> {
    const { clock, tenure, elected, notify } = this.#options
    const { fence } = claim.holder
    const ending = this.#ending.signal
    if (ending.aborted) return
    const name = displayName(tenure.lease.key)
    notify({
      level: 'info',
      event: 'primary',
      message: `${name} is the primary of its service.`,
      details: { fence },
    })
    const since = clock.now()
    const lost = new AbortController()
    const lose = () => lost.abort(over())
    ending.addEventListener('abort', lose, { once: true })
    let failure: { readonly error: unknown } | undefined
    Promise.resolve(Object.freeze({ fence, lost: lost.signal }))
      .then(elected)
      .catch((error: unknown) => {
        failure = { error }
        this.#wake()
      })
    const isOver = this.#overseer(fence)
    while (!ending.aborted && failure === undefined && !isOver())
      await this.#change(tenure.until - clock.now())
    ending.removeEventListener('abort', lose)
    lose()
    if (clock.now() - since > recheck) this.#backoff.reset()
    if (failure === undefined || ending.aborted) return
    const { error } = failure
    notify({
      level: 'error',
      event: 'primary_failed',
      message: `What ${name} does as the primary failed: another instance gets its turn.`,
      details: { error },
    })
    await claim[Symbol.asyncDispose]()
    throw error
  }

  /** Whether the primacy with that number is over, as far as can be told from here. */
  #overseer(fence: Revision): () => boolean {
    let seen = false
    return () => {
      if (this.#isExpired()) return true
      const holder = primaryHolder(this.#options.service.snapshot)
      // The view may be behind.
      if (holder === undefined || holder.fence < fence) return seen
      seen = true
      return holder.fence > fence
    }
  }

  #isExpired(): boolean {
    return this.#options.clock.now() >= this.#options.tenure.until
  }

  /** Until the service changes, for so many milliseconds at most. */
  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel()
        this.#wake = nothing
        resolve()
      }
      const timer = this.#options.clock.after(ms, done)
      this.#wake = done
    })
  }

  #pause(): Promise<void> {
    return sleep(this.#options.clock, this.#backoff.next(), this.#ending.signal).catch(nothing)
  }
}

function over(): SeamarkError {
  return new SeamarkError('lease_lost', 'The instance is not the primary of its service any more.')
}

function nothing(): void {}
