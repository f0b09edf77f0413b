import type { GatewayBounds } from '../front/bounds.ts'
import type { Call } from '../front/call.ts'
import type { Reply } from '../front/reply.ts'
import type { Access, Routes, Telemetry } from '../ports.ts'
import type { Destinations } from './destinations.ts'
import { Journey } from './journey.ts'

/** The rooms that requests go through. */
export interface RelayHost {
  readonly routes: Routes
  readonly access: Access
  readonly telemetry: Telemetry
  readonly destinations: Destinations
  readonly bounds: Pick<GatewayBounds, 'bodyBytes'>
  /** Whether all that is registered is known. */
  readonly isWarm: () => boolean
}

/** Sends requests on, and their answers back. */
export class Relay {
  readonly #host: RelayHost

  constructor(host: RelayHost) {
    this.#host = host
  }

  take(call: Call, reply: Reply): void {
    new Journey(this.#host, call, reply).begin()
  }

  /** Tells of a request that could not be read, and was answered so. */
  refused(error: unknown, client: string): void {
    this.#host.telemetry.refused(error instanceof Error ? error : new Error(String(error)), client)
  }
}
