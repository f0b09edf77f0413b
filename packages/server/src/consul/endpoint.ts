import type { ConsulAnswer } from './answer.ts'
import type { Ask } from './ask.ts'
import type { ConsulContext } from './context.ts'

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

/** One path of Consul's API, with all its methods. */
export interface Endpoint {
  /** Such as `/v1/catalog/nodes`; one that ends in `/` takes everything below it. */
  readonly path: string
  /** In the order in which Consul names them in `Allow`. */
  readonly methods: readonly Method[]
  /** Bytes a body may have. Default the server's bound. */
  readonly bodyBytes?: number
  readonly answer: (ask: Ask) => ConsulAnswer | Promise<ConsulAnswer>
}

/** A family of endpoints. */
export type Endpoints = (context: ConsulContext) => readonly Endpoint[]
