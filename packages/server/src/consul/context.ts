import type { Items, Revision } from '@seamark/core'
import type { Context } from '../context.ts'
import type { ConsulSettings } from './options.ts'
import type { ServiceHealth } from './service-health.ts'
import type { Topics } from './topics.ts'
import type { View } from './view.ts'
import type { Writer } from './writer.ts'

/** What the endpoints of Consul's API share. */
export interface ConsulContext {
  /** The engine to write to, the catalog to read from, the clock. */
  readonly server: Context
  /** All items of this face, those whose keys begin with `consul/`. */
  readonly items: Items
  readonly settings: ConsulSettings
  /** Nodes, services and checks, as Consul sees them. */
  readonly view: View
  /** Answers about the health of services. */
  readonly health: ServiceHealth
  /** Registers, deregisters and reports, as Consul's clients mean it. */
  readonly writer: Writer
  /** Who waits for what. Whoever keeps something derived wakes its topics. */
  readonly topics: Topics
  /** The highest revision that this server has seen, of the registry or of items. */
  readonly revision: Revision
  /** Resolves once the items show what was written at this revision; 0 is there already. Throws `timeout`. */
  itemsVisible(revision: Revision): Promise<void>
}
