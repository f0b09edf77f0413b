import type { Entry, ServiceKey } from '@seamark/core'

/** A node, as Consul's names know it. */
export interface Node {
  /** As it was registered; names are compared in any case. */
  readonly name: string
  /** An IP address or a host name. */
  readonly address: string
  readonly metadata: Readonly<Record<string, string>>
}

/** What an entry itself does not say of where it is. */
export interface Place {
  /** The node it is on; `undefined`: none is known, and SRV records lead to its address. */
  readonly node?: Node | undefined
  /** Whether it has no address of its own: then SRV records lead to `<node>.node.<datacenter>`. Default false. */
  readonly atNode?: boolean | undefined
  /** The weight in SRV records while its health is `warning`. Default the instance's. */
  readonly warningWeight?: number | undefined
}

/** What a prepared query found. */
export interface QueryAnswer {
  /** Those that fit; DNS leaves out the critical ones, and those in maintenance, and shuffles the rest. */
  readonly entries: readonly Entry[]
  /** Milliseconds, if the query says so itself; else that of its service. */
  readonly ttl?: number | undefined
}

/**
 * What Consul's names say beyond the catalog. Synchronous, and from memory: it is asked while somebody waits. Answers that
 * were made from it are kept until `revision` says another number.
 */
export interface Names {
  /** The only one there is: names of any other do not exist. */
  readonly datacenter: string
  /**
   * A number that is another one after each change of what is said of this service's entries by `place`; without a service,
   * after each change of anything here.
   */
  revision(service?: ServiceKey): number
  /** `name` is in lower case, and may have dots; the node's own may be in any case. */
  node(name: string): Node | undefined
  /** Those whose address this is, in no certain order. */
  nodesAt(address: string): readonly Node[]
  /** Asked for each entry of an answer when it is made. */
  place(entry: Entry): Place
  /** Who Consul's own service `consul` is, as long as nobody registered one of that name: the servers themselves. Default nobody. */
  servers?(): readonly Entry[]
  /** Executes a prepared query, by name or id, templates included; `name` is in lower case. `undefined`: there is none. */
  query(name: string): QueryAnswer | undefined
}
