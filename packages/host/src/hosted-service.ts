import type { AnnounceOptions, Discovery } from '@seamark/client'
import type { Logger } from './logger.ts'

/** What every hook is given. */
export interface HostContext {
  readonly discovery: Discovery
  /** Says with each line which service it is. */
  readonly logger: Logger
  /** Where the service is announced. */
  readonly address: string
  readonly port: number
}

/** One named service of a process: how it is announced, and what happens before and afterwards. */
export interface HostedService extends Omit<AnnounceOptions, 'port'> {
  /** Default: the host's. */
  readonly port?: number
  /** Before it is announced. What it throws ends the start of the whole host. */
  start?(context: HostContext): unknown
  /** After it was deregistered, and callers had time to notice. Not called if `start` failed. */
  stop?(context: HostContext): unknown
}
