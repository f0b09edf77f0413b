/**
 * Whoever asked, as far as a wait needs to know: whether they went away. A response is one. Of the thousands that may wait
 * at once, an AbortSignal for each would take more memory than all else that they need.
 */
export interface Asker {
  /** Whether they went away, or were answered. */
  readonly closed: boolean
  once(event: 'close', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
}
