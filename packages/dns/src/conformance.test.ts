import { describeSource } from '@seamark/conformance'
import { type Batch, type Change, type Entry, type Instance, instanceId, type Source } from '@seamark/core'
import { type DnsServer, dnsServer } from '../../../test/servers/dns.ts'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { relay } from '../test/relay.ts'
import { dnsSource } from './dns-source.ts'

engineTests('dns', () => {
  describeSource('the DNS source', {
    async setup() {
      const zone = new Zone()
      let server = await dnsServer(zone.lines())
      let former: DnsServer | undefined
      const way = await relay(server.port)
      // A server for each version of the zone, so that there always is one: what was asked of the former is answered still.
      const write = batched(async () => {
        const next = await dnsServer(zone.lines())
        way.lead(next.port)
        await former?.[Symbol.asyncDispose]()
        former = server
        server = next
      })
      return {
        open: async () =>
          named(dnsSource([way.address], { name: 'test', minTtl: 200, timeout: '20s' }), zone),
        publish: (instance) => {
          zone.put(instance)
          return write()
        },
        withdraw: (key) => {
          zone.delete(instanceId(key))
          return write()
        },
        crash: () => server.restart(),
        disconnect: async () => way.cut(),
        async [Symbol.asyncDispose]() {
          await way[Symbol.asyncDispose]()
          await former?.[Symbol.asyncDispose]()
          await server[Symbol.asyncDispose]()
        },
      }
    },
    skip: [
      {
        reason: 'an answer of DNS has 64 KB at most, which is 1,000 to 3,000 records',
        tests: ['shows 10,000 instances of one service, also to a reader that is slow'],
      },
    ],
  })
})

/** DNS knows no ids: each id has an address of its own, from which it is read back. */
class Zone {
  readonly #instances = new Map<string, Instance>()
  readonly #addresses = new Map<string, string>()
  readonly #ids = new Map<string, string>()

  put(instance: Instance): void {
    this.#instances.set(instanceId(instance), instance)
  }

  delete(id: string): void {
    this.#instances.delete(id)
  }

  lines(): readonly string[] {
    const lines = ['local=/test/']
    for (const { namespace, service, id, port, weight } of this.#instances.values()) {
      const address = this.#address(id)
      const host = `h${address.replaceAll('.', '-')}.test`
      lines.push(
        `srv-host=${service}.${namespace}.test,${host},${port},1,${weight}`,
        `host-record=${host},${address}`,
      )
    }
    return lines
  }

  #address(id: string): string {
    let address = this.#addresses.get(id)
    if (address === undefined) {
      const number = this.#addresses.size + 1
      address = `10.1.${number >> 8}.${number & 0xff}`
      this.#addresses.set(id, address)
      this.#ids.set(address, id)
    }
    return address
  }

  idOf(id: string): string {
    return this.#ids.get(id.replace(/:\d+$/, ''))!
  }
}

/** The source, with the ids that were published. */
function named(source: Source, zone: Zone): Source {
  const names = new WeakMap<Entry, Entry>()
  const entry = (from: Entry): Entry => {
    let to = names.get(from)
    if (to === undefined) {
      const instance = Object.freeze({ ...from.instance, id: zone.idOf(from.instance.id) })
      to = Object.freeze({ ...from, instance })
      names.set(from, to)
    }
    return to
  }
  const change = (from: Change): Change => {
    if (from.type === 'reset') return { ...from, entries: from.entries.map(entry) }
    if (from.type === 'put') return { ...from, entry: entry(from.entry) }
    if (from.type === 'delete') return { ...from, key: { ...from.key, id: zone.idOf(from.key.id) } }
    return from
  }
  return {
    freshness: source.freshness,
    async *watch(services, signal): AsyncGenerator<Batch> {
      for await (const { revision, changes } of source.watch(services, signal))
        yield { revision, changes: changes.map(change) }
    },
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}

/** Writes once for all that was asked meanwhile; each caller waits for a writing that began after it asked. */
function batched(write: () => Promise<void>): () => Promise<void> {
  let next: Promise<void> | undefined
  let last: Promise<void> = Promise.resolve()
  return () => {
    next ??= last.then(() => {
      next = undefined
      last = write()
      return last
    })
    return next
  }
}
