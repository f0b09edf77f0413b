import type { AddressInfo } from 'node:net'
import type { Catalog, Clock, Notify } from '@seamark/core'
import type { GatewayBounds } from './front/bounds.ts'
import type { CertificateFiles } from './front/certificate.ts'
import { Front } from './front/front.ts'
import { Trust } from './front/trust.ts'
import type { Access, Guard, Routes, Rule, Telemetry } from './ports.ts'
import { Destinations } from './proxy/destinations.ts'
import { Lines } from './proxy/lines.ts'
import { Proxy } from './proxy/proxy.ts'

/** The rooms of a gateway, put together. */
export interface Passageway {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly notify: Notify
  readonly host: string
  readonly port: number
  readonly tls: CertificateFiles | undefined
  readonly routes: Routes
  readonly access: Access
  readonly guards: (rule: Rule) => Guard
  readonly telemetry: Telemetry
  readonly trustedProxies: readonly string[]
  /** Certificates that instances with TLS are verified with. */
  readonly ca: string | Buffer | undefined
  readonly bounds: GatewayBounds
}

export interface OpenPassageway {
  readonly address: AddressInfo
  close(): Promise<void>
}

/** Opens the way through given rooms. Throws `configuration` and `invalid_field`. */
export async function passageway(rooms: Passageway): Promise<OpenPassageway> {
  const { clock, bounds, catalog, routes, guards, access, telemetry, ca } = rooms
  const trust = new Trust(rooms.trustedProxies)
  const lines = new Lines({ clock, bounds, ca })
  const destinations = new Destinations({ clock, catalog, carrier: lines, routes, guards, bounds })
  const proxy = new Proxy({ routes, access, telemetry, destinations, bounds })
  const end = () => {
    destinations.close()
    lines.destroy(new Error('The gateway was closed.'))
  }
  try {
    const front = await Front.listen({ ...rooms, proxy, trust })
    return {
      address: front.address,
      async close() {
        await front.close()
        end()
      },
    }
  } catch (error) {
    end()
    throw error
  }
}
