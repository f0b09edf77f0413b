import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import {
  type Catalog,
  type CheckReport,
  catalog,
  type Engine,
  type InstanceInput,
  type InstanceKey,
  instance,
  memory,
  type Notice,
} from '@seamark/core'
import { type DnsServer, type DnsServerOptions, dnsServer } from '@seamark/dns'
import { type DecodedPacket, decode, encode, type Packet, type RecordType } from 'dns-packet'

/** An answer, read by dns-packet, which had no part in writing it. */
export interface Said {
  readonly code: string
  readonly truncated: boolean
  readonly bytes: Buffer
  readonly packet: DecodedPacket
  /** `10.0.0.1`, `1 5 80 web.node.dc1.consul`, … in the order in which they came. */
  readonly answers: readonly string[]
  readonly authorities: readonly string[]
  /** With their names, and without EDNS. */
  readonly extras: readonly string[]
}

export interface AskOptions {
  readonly transport?: 'udp' | 'tcp'
  /** Bytes of a datagram; 0: the question says nothing of EDNS. Default 1,232. */
  readonly edns?: number
  readonly recursive?: boolean
}

/** A face over a registry of its own. */
export interface Served extends AsyncDisposable {
  readonly engine: Engine
  readonly catalog: Catalog
  readonly server: DnsServer
  readonly port: number
  readonly notices: readonly Notice[]
  /** Registers, and waits until the catalog has it. Default port 80, id the service, namespace `default`. */
  put(input: Partial<InstanceInput> & Pick<InstanceInput, 'service' | 'address'>): Promise<void>
  remove(key: Omit<InstanceKey, 'namespace'>): Promise<void>
  report(key: Omit<InstanceKey, 'namespace'>, status: CheckReport['status']): Promise<void>
  ask(name: string, type?: string, options?: AskOptions): Promise<Said>
  /** Sends these bytes, and answers what comes back in this time. */
  send(bytes: Buffer): Promise<Buffer>
}

export async function served(
  options: Omit<DnsServerOptions, 'catalog'> & { readonly catalog?: Catalog } = {},
): Promise<Served> {
  const engine = memory()
  const replica = options.catalog ?? catalog(engine)
  if (options.catalog === undefined) await replica.warm()
  const notices: Notice[] = []
  const notify = (notice: Notice) => void notices.push(notice)
  const server = await dnsServer({ port: 0, notify, ...options, catalog: replica })
  const { address, port } = server
  const reached = (revision: number | undefined) => replica.reached(revision ?? 0)
  return {
    engine,
    catalog: replica,
    server,
    port,
    notices,
    async put(input) {
      const all = { namespace: 'default', id: input.service, port: 80, ...input }
      await reached((await engine.register(instance(all))).revision)
    },
    async remove(key) {
      await reached(await engine.deregister({ namespace: 'default', ...key }))
    },
    async report(key, status) {
      await reached(await engine.report({ namespace: 'default', ...key }, [{ id: 'seen', status }]))
    },
    async ask(name, type = 'A', { transport = 'udp', ...rest } = {}) {
      const query = question(name, type, rest)
      return said(await (transport === 'udp' ? overUdp : overTcp)(address, port, query))
    },
    send: (bytes) => overUdp(address, port, bytes),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await replica[Symbol.asyncDispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

/** A question as it is sent. */
export function question(
  name: string,
  type = 'A',
  { edns = 1_232, recursive = false }: Omit<AskOptions, 'transport'> = {},
): Buffer {
  const packet: Packet = {
    type: 'query',
    id: randomInt(1, 0x1_0000),
    flags: recursive ? 0x100 : 0,
    questions: [{ name, type: type as RecordType, class: 'IN' }],
    additionals:
      edns > 0
        ? [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: edns,
              extendedRcode: 0,
              ednsVersion: 0,
              flags: 0,
              flag_do: false,
              options: [],
            },
          ]
        : [],
  }
  return encode(packet)
}

export function said(bytes: Buffer): Said {
  const packet = decode(bytes)
  if (decode.bytes !== bytes.length) throw new Error(`${bytes.length - decode.bytes} bytes are left over`)
  const { answers = [], authorities = [], additionals = [] } = packet
  return {
    code: (packet as DecodedPacket & { rcode: string }).rcode,
    truncated: packet.flag_tc,
    bytes,
    packet,
    answers: answers.map(shown),
    authorities: authorities.map((record) => `${record.name} ${record.type}`),
    extras: additionals
      .filter(({ type }) => type !== 'OPT')
      .map((record) => `${record.name} ${shown(record)}`),
  }
}

function shown(record: NonNullable<DecodedPacket['answers']>[number]): string {
  switch (record.type) {
    case 'SRV': {
      const { priority, weight, port, target } = record.data
      return `${priority} ${weight} ${port} ${target}`
    }
    case 'TXT':
      return [record.data].flat().map(String).join('|')
    case 'SOA':
      return `${record.data.mname} ${record.data.rname}`
    case 'HINFO':
      return record.data.cpu
    case 'A':
    case 'AAAA':
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return record.data
    default:
      throw new Error(`A record of type ${record.type} was not expected.`)
  }
}

export async function overUdp(address: string, port: number, bytes: Buffer): Promise<Buffer> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  try {
    socket.send(bytes, port, address)
    const [answer] = await once(socket, 'message')
    return answer
  } finally {
    socket.close()
  }
}

export async function overTcp(address: string, port: number, bytes: Buffer): Promise<Buffer> {
  const client = new TcpClient(connect({ host: address, port }))
  try {
    client.send(bytes)
    return await client.next()
  } finally {
    client.socket.destroy()
  }
}

/** Reads the answers of a connection, one by one. */
export class TcpClient {
  readonly socket: Socket
  #received = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk])
      socket.emit('more')
    })
    socket.on('close', () => socket.emit('more'))
  }

  send(...messages: readonly Buffer[]): void {
    const frames = messages.map((message) =>
      Buffer.concat([Buffer.from([message.length >> 8, message.length & 0xff]), message]),
    )
    this.socket.write(Buffer.concat(frames))
  }

  /** Rejects when the connection ends before. */
  async next(): Promise<Buffer> {
    for (;;) {
      if (this.#received.length >= 2) {
        const end = 2 + this.#received.readUInt16BE()
        if (this.#received.length >= end) {
          const message = this.#received.subarray(2, end)
          this.#received = this.#received.subarray(end)
          return message
        }
      }
      if (this.socket.destroyed) throw new Error('The connection is over.')
      await once(this.socket, 'more')
    }
  }
}
