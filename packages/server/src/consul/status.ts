import { jsonAnswer } from './answer.ts'
import { knownDatacenter } from './blocking.ts'
import type { ConsulContext } from './context.ts'
import type { Endpoints } from './endpoint.ts'

/** Who leads: all servers are equal here, and each takes the first of them for the leader. */
export const status: Endpoints = (context) => [
  {
    path: '/v1/status/leader',
    methods: ['GET'],
    answer(ask) {
      knownDatacenter(context, ask)
      return jsonAnswer(ask, leader(context))
    },
  },
  {
    path: '/v1/status/peers',
    methods: ['GET'],
    answer(ask) {
      knownDatacenter(context, ask)
      return jsonAnswer(ask, peers(context))
    },
  },
]

/** Empty while the engine is out of reach: then nobody can write. */
export function leader(context: ConsulContext): string {
  return context.server.catalog.staleSince === undefined ? (peers(context)[0] ?? '') : ''
}

/** `address:port` of every server. */
export function peers({ view }: ConsulContext): string[] {
  return view.nodes.list().flatMap(({ server }) => {
    if (server === undefined) return []
    const { address, port } = server
    return [`${address.includes(':') ? `[${address}]` : address}:${port}`]
  })
}
