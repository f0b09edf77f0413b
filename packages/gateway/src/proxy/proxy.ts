import type { GatewayBounds } from '../front/bounds.ts'
import type { Call } from '../front/call.ts'
import type { Reply } from '../front/reply.ts'
import type { Access, Routes, Telemetry } from '../ports.ts'
import type { Destinations } from './destinations.ts'
import { Journey } from './journey.ts'

/** The rooms that requests go through. */
export interface ProxyHost {
  readonly routes: Routes
  readonly access: Access
  readonly telemetry: Telemetry
  readonly destinations: Destinations
  readonly bounds: Pick<GatewayBounds, 'bodyBytes'>
}

/** Sends requests on, and their answers back. */
export class Proxy {
  readonly #host: ProxyHost

  constructor(host: ProxyHost) {
    this.#host = host
  }

  take(call: Call, reply: Reply): void {
    new Journey(this.#host, call, reply).begin()
  }
}
