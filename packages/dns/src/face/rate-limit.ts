import { BlockList, isIP } from 'node:net'
import { type Clock, SeamarkError } from '@seamark/core'
import { addressBytes } from './ip-address.ts'
import { Recent } from './recent.ts'

export interface RateLimitOptions {
  readonly clock: Clock
  /** Answers per second; 0: without end. */
  readonly perSecond: number
  /** Networks without a limit, such as `10.0.0.0/8`. */
  readonly exempt: readonly string[]
}

/** What one network may still be sent. */
interface Bucket {
  left: number
  at: number
  /** How often there was nothing left. */
  refused: number
}

/** Addresses, and networks, that are told apart at a time. */
const mostKept = 65_536
const unlimited: Bucket = { left: Number.POSITIVE_INFINITY, at: 0, refused: 0 }

/** What to do with a datagram: answer it, say that it has to come over TCP, or nothing. */
export type Leave = 'answer' | 'truncate' | 'drop'

/**
 * How much is sent to each network, for datagrams, whose sender may be forged: of IPv4 its first 24 bits, of IPv6 the first
 * 56. Every second answer too many is an empty one that asks to come over TCP, which only a real sender can.
 */
export class RateLimit {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #exempt: BlockList
  readonly #buckets = new Recent<Bucket>(mostKept)
  readonly #byAddress = new Recent<Bucket>(mostKept)

  /** Throws `configuration`. */
  constructor({ clock, perSecond, exempt }: RateLimitOptions) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#exempt = networks(exempt)
  }

  of(address: string): Leave {
    const bucket = this.#byAddress.get(address) ?? this.#bucket(address)
    if (bucket === unlimited) return 'answer'
    const now = this.#clock.now()
    bucket.left = Math.min(this.#perSecond, bucket.left + ((now - bucket.at) * this.#perSecond) / 1_000)
    bucket.at = now
    if (bucket.left >= 1) {
      bucket.left--
      return 'answer'
    }
    bucket.refused++
    return bucket.refused % 2 === 0 ? 'truncate' : 'drop'
  }

  #bucket(from: string): Bucket {
    // Addresses of a link are followed by its name.
    const address = from.replace(/%.*$/, '')
    const bytes = addressBytes(address)
    const bucket = bytes === undefined || this.#isExempt(bytes, address) ? unlimited : this.#network(bytes)
    this.#byAddress.set(from, bucket)
    return bucket
  }

  #isExempt(bytes: Buffer, address: string): boolean {
    if (this.#perSecond === 0) return true
    return bytes.length === 4 ? this.#exempt.check(bytes.join('.')) : this.#exempt.check(address, 'ipv6')
  }

  #network(bytes: Buffer): Bucket {
    const key = bytes.toString('latin1', 0, bytes.length === 4 ? 3 : 7)
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      bucket = { left: this.#perSecond, at: this.#clock.now(), refused: 0 }
      this.#buckets.set(key, bucket)
    }
    return bucket
  }
}

function networks(exempt: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of exempt) {
    const [address = '', bits, more] = network.split('/')
    const version = isIP(address)
    const longest = version === 4 ? 32 : 128
    const length = bits === undefined ? longest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
    if (version === 0 || more !== undefined || !(length <= longest))
      throw new SeamarkError(
        'configuration',
        `"${network}" is no network: write 10.0.0.0/8, or an IP address.`,
      )
    list.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
