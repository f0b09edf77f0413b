import type { Catalog, Clock, Engine, Items, Revision } from '@seamark/core'
import type { FastifyPluginCallback } from 'fastify'
import type { Logger } from 'pino'
import type { AnswerCache } from './answer-cache.ts'
import type { Bounds } from './bounds.ts'
import type { Census } from './census.ts'
import type { CheckPolicy } from './checks/target-policy.ts'
import type { ItemWatchers } from './item-watchers.ts'
import type { Metrics } from './metrics.ts'
import type { Presences } from './presences.ts'
import type { Waiters } from './waiters.ts'
import type { Watchers } from './watchers.ts'

/** What the routes of one server share. */
export interface Context {
  readonly engine: Engine
  readonly engineName: string
  readonly catalog: Catalog
  /** All items of the engine's store. */
  readonly items: Items
  readonly clock: Clock
  readonly bounds: Bounds
  readonly log: Logger
  /** What health checks may do. */
  readonly checkPolicy: CheckPolicy
  readonly metrics: Metrics
  readonly census: Census
  readonly answers: AnswerCache
  readonly watchers: Watchers
  readonly itemWatchers: ItemWatchers
  readonly waiters: Waiters
  readonly presences: Presences
  readonly stage: Stage
  /** Resolves once the catalog shows what was written at this revision. Throws `timeout`. */
  visible(revision: Revision): Promise<void>
  /** As `visible`, of items. */
  itemsVisible(revision: Revision): Promise<void>
}

/** Where a server is in its life. */
export interface Stage {
  /** The replicas have been told of everything there is. */
  warm: boolean
  /** The server closes. */
  draining: boolean
}

/** A group of routes. */
export type Routes = FastifyPluginCallback<{ readonly context: Context }>
