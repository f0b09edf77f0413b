import { describeSource } from '@seamark/conformance'
import { type Batch, type Change, type Entry, type Instance, instanceId, type Source } from '@seamark/core'
import { type DnsServer, dnsServer } from '../../../test/servers/dns.ts'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { dnsSource } from './dns-source.ts'

engineTests('dns', () => {
  describeSource('the DNS source', {
    async setup() {
      const zone = new Zone()
      const servers = [await dnsServer(zone.lines()), await dnsServer(zone.lines())]
      const write = batched(async () => {
        const lines = zone.lines()
        // One after the other: what has been asked of one is answered by the other.
        for (const server of servers) await server.configure(lines)
      })
      return {
        open: async () =>
          named(dnsSource(servers.map(addressOf), { name: 'test', minTtl: 200, port: 1 }), zone),
        publish: (instance) => {
          zone.put(instance)
          return write()
        },
        withdraw: (key) => {
          zone.delete(instanceId(key))
          return write()
        },
        async crash() {
          await Promise.all(servers.map((server) => server.kill()))
          await Promise.all(servers.map((server) => server.start()))
        },
        async [Symbol.asyncDispose]() {
          for (const server of servers) await server[Symbol.asyncDispose]()
        },
      }
    },
    skip: [
      {
        reason: 'an answer of DNS has 64 KB at most, which is 1,000 to 3,000 records',
        tests: ['shows 10,000 instances of one service, also to a reader that is slow'],
      },
      {
        reason: 'each question is a datagram of its own: there is no connection to break',
        tests: [
          'a watch whose connection breaks catches up',
          'a watch whose connection breaks again and again shows nothing partly',
        ],
      },
    ],
  })
})

function addressOf({ port }: DnsServer): string {
  return `127.0.0.1:${port}`
}

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
