import type { CheckResult, HealthStatus, Holder, Instance } from '@seamark/core'

/** An instance as the HTTP API answers it. */
export interface EntryDocument extends Instance {
  readonly health: { readonly status: HealthStatus; readonly checks: readonly CheckResult[] }
  readonly createdRevision: number
  readonly modifiedRevision: number
}

/** A page of one service. */
export interface ServiceDocument {
  readonly namespace: string
  readonly service: string
  readonly revision: number
  readonly instances: readonly EntryDocument[]
  readonly holders: readonly Holder[]
  readonly next: string | null
  readonly staleSince: number | null
}

/** A service in a list of them. */
export interface ServiceSummary {
  readonly service: string
  readonly instances: number
  readonly passing: number
  readonly warning: number
  readonly critical: number
  readonly maintenance: number
  readonly versions: readonly string[]
  readonly tags: readonly string[]
}
