import type { Finding } from './finding.ts'
import { type Group, type MessageHead, MessageWriter } from './message-writer.ts'

/** Orders of one answer that are kept at the same time, so that each asker gets another. */
const fewestOrders = 8
const mostOrders = 64
/** Bytes of them all, past which there are no more than the fewest. */
const orderBytes = 262_144
/** How often an order that shows everything is sent before another takes its place. */
const usesOfAll = 64
/** The same for one that shows a part: then chance decides who is seen at all. */
const usesOfPart = 8

const writer = new MessageWriter()

interface Order {
  readonly bytes: Buffer
  left: number
}

/**
 * An answer that is ready to be sent, in several orders. What it shows is dealt like cards: where only a part fits, everybody
 * has been in one before anybody is in a second; and everybody has been first before anybody is again.
 */
export class PreparedAnswer {
  readonly #finding: Finding
  readonly #head: MessageHead
  readonly #most: number
  readonly #cut: boolean
  readonly #orders: Order[] = []
  #deck: Group[]
  #dealt = 0
  #turn = 0
  #count = 1
  #uses = Number.POSITIVE_INFINITY
  /** About how many bytes it takes. */
  readonly size: number

  /** `most`: how many records of a kind fit by the asker's rules; what is left out by them is told of. */
  constructor(finding: Finding, head: MessageHead, most: number) {
    const wanted = Math.min(finding.groups.length, finding.most ?? Number.POSITIVE_INFINITY)
    this.#finding = finding
    this.#head = head
    this.#most = Math.min(wanted, most)
    this.#cut = most < wanted
    this.#deck = shuffled(finding.groups)
    const { length } = finding.groups
    const { bytes: first, shown } = this.#write()
    if (length > 1) {
      const wanted = Math.ceil(length / step(shown, length))
      const room = Math.floor(orderBytes / first.length)
      this.#uses = shown < length ? usesOfPart : usesOfAll
      this.#count = Math.max(fewestOrders, Math.min(mostOrders, wanted, room))
    }
    this.#orders.push({ bytes: first, left: this.#uses })
    this.size = this.#count * (first.length + 128) + length * 256
  }

  /** One order: with the id 0, and the question as it was asked first. Not to be changed. */
  next(): Buffer {
    const turn = this.#turn
    this.#turn = turn + 1 < this.#count ? turn + 1 : 0
    const order = this.#orders[turn]
    if (order !== undefined && order.left-- > 0) return order.bytes
    const { bytes } = this.#write()
    this.#orders[turn] = { bytes, left: this.#uses - 1 }
    return bytes
  }

  #write(): { bytes: Buffer; shown: number } {
    const { authority } = this.#finding
    const { length } = this.#deck
    writer.begin(this.#head)
    let taken = 0
    while (taken < this.#most && writer.group(this.#deck[(this.#dealt + taken) % length]!)) taken++
    for (const record of authority) writer.authority(record)
    if (this.#cut) writer.truncate()
    this.#dealt += step(taken, length)
    if (this.#dealt >= length) {
      this.#dealt = 0
      this.#deck = shuffled(this.#deck)
    }
    return { bytes: writer.end(), shown: taken }
  }
}

/** How far the next order is from this one. */
function step(shown: number, length: number): number {
  return shown > 0 && shown < length ? shown : 1
}

function shuffled(groups: readonly Group[]): Group[] {
  const deck = [...groups]
  for (let last = deck.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    const group = deck[last]!
    deck[last] = deck[other]!
    deck[other] = group
  }
  return deck
}
