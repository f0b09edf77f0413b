import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { checkLabel, checkName, invalidField } from '@seamark/core'

/** How this server shows itself to those who take it for a Consul agent. */
export interface ConsulOptions {
  /** The node that it is. Default the host's name. */
  nodeName?: string
  /** A UUID. Default one that is made of the node's name, and so stays the same. */
  nodeId?: string
  /** What the node says of itself. Default nothing. */
  nodeMeta?: Readonly<Record<string, string>>
  /** The only datacenter there is. Default `dc1`. */
  datacenter?: string
  /** The domain that DNS answers in; shown, not served. Default `consul`. */
  domain?: string
  /** Another one. Default none. */
  altDomain?: string
}

export type ConsulSettings = Required<ConsulOptions>

/** What Consul's API says this is: what clients switch their behaviour by. */
export const consulVersion = '1.8.7'

/** Completes the options. Throws `invalid_field`. */
export function consulSettings(options: ConsulOptions = {}): ConsulSettings {
  const {
    nodeName = hostname(),
    nodeMeta = {},
    datacenter = 'dc1',
    domain = 'consul',
    altDomain = '',
  } = options
  const { nodeId = uuidOf(nodeName) } = options
  checkName('nodeName', nodeName)
  checkLabel('datacenter', datacenter)
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(nodeId))
    throw invalidField('nodeId', 'must be a UUID, in lower case')
  return { nodeName, nodeId, nodeMeta, datacenter, domain, altDomain }
}

/** The same UUID for the same name. */
export function uuidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex')
  // Version 8 of RFC 9562: made in a way of our own.
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}
