// What strangers may send to a DNS server: questions that are right, nearly right, and nothing of the kind. The same seed
// gives the same packets.

/** What is asked for, in every kind of name that there is. */
const names = [
  'api.service.consul',
  'V2.api.Service.dc1.CONSUL',
  '_api._tcp.service.consul',
  '_api._blue.consul',
  'host.service.consul',
  'nobody.service.consul',
  'web-1.node.consul',
  'nearest.query.consul',
  '0a000001.addr.consul',
  '20010db8000000000000000000000001.addr.dc1.consul',
  'consul',
  'ns.consul',
  'service.consul',
  'app2.test.shop.seamark',
  '_http._tcp.app2.test.shop.seamark',
  'shop.seamark',
  'seamark',
  '1.0.0.10.in-addr.arpa',
  `1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`,
  'www.example.com',
  '',
  `${'x'.repeat(63)}.${'y'.repeat(63)}.${'z'.repeat(50)}.service.consul`,
]
/** A, NS, CNAME, SOA, PTR, HINFO, MX, TXT, AAAA, SRV, OPT, TSIG, IXFR, AXFR, ANY, and some that nobody has. */
const types = [1, 2, 5, 6, 12, 13, 15, 16, 28, 33, 41, 250, 251, 252, 255, 0, 65_280]
/** Bytes that mean something: roots, labels of 63 and 64 bytes, pointers. */
const telling = [0, 1, 12, 0x29, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xc1, 0xff]

/**
 * Numbers from 0 to 1 that look like chance (mulberry32).
 * @param {number} seed
 */
export function chance(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * One packet after the other.
 * @param {() => number} random
 * @returns {() => Buffer}
 */
export function garbage(random) {
  /** @param {number} below */
  const some = (below) => Math.floor(random() * below)
  /**
   * @template T
   * @param {readonly T[]} values
   */
  const one = (values) => /** @type {T} */ (values[some(values.length)])
  let last = right()

  function right() {
    const labels = one(names)
      .split('.')
      .filter((label) => label !== '')
    const parts = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)])
    const header = Buffer.alloc(12)
    header.writeUInt16BE(some(0x1_0000))
    header[2] = random() < 0.9 ? some(2) : some(256)
    header[5] = 1
    const tail = Buffer.from([0, 0, one(types) & 0xff, 0, random() < 0.95 ? 1 : some(256)])
    tail[1] = one(types) >> 8 && random() < 0.05 ? 0xff : 0
    const bytes = Buffer.concat([header, ...parts, tail])
    return random() < 0.5 ? bytes : withOption(bytes)
  }

  /** @param {Buffer} bytes */
  function withOption(bytes) {
    bytes[11] = 1
    const option = Buffer.from([
      0,
      0,
      41,
      some(256),
      some(256),
      0,
      random() < 0.9 ? 0 : some(256),
      some(256),
      0,
      0,
      0,
    ])
    const data = Buffer.from(Array.from({ length: random() < 0.7 ? 0 : some(40) }, () => some(256)))
    option[10] = data.length
    return Buffer.concat([bytes, option, data])
  }

  /** @param {Buffer} bytes */
  function changed(bytes) {
    const copy = Buffer.from(bytes)
    for (let count = 1 + some(5); count > 0 && copy.length > 0; count--)
      copy[some(copy.length)] = random() < 0.5 ? one(telling) : some(256)
    return copy
  }

  /** @type {readonly ((bytes: Buffer) => Buffer)[]} */
  const ways = [
    (bytes) => bytes,
    (bytes) => bytes,
    (bytes) => bytes,
    (bytes) => bytes,
    // Other names and types, mostly.
    (bytes) => Buffer.concat([bytes.subarray(0, 12), changed(bytes.subarray(12))]),
    (bytes) => Buffer.concat([bytes.subarray(0, 12), changed(bytes.subarray(12))]),
    changed,
    changed,
    // Cut off.
    (bytes) => bytes.subarray(0, some(bytes.length + 1)),
    // Something in between.
    (bytes) => {
      const at = some(bytes.length + 1)
      const more = Buffer.from(Array.from({ length: some(40) }, () => some(256)))
      return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
    },
    // Something left out.
    (bytes) => {
      const at = some(bytes.length + 1)
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some(8))])
    },
    // Other counts.
    (bytes) => {
      const copy = Buffer.from(bytes)
      for (let at = 4; at < 12; at += 2)
        if (random() < 0.5) copy.writeUInt16BE(random() < 0.7 ? some(5) : some(0x1_0000), at)
      return copy
    },
    // The beginning of this, and the end of the one before.
    (bytes) =>
      Buffer.concat([bytes.subarray(0, some(bytes.length + 1)), last.subarray(some(last.length + 1))]),
    // The same again and again.
    (bytes) => Buffer.concat(Array.from({ length: 1 + some(20) }, () => bytes)),
    // Nothing of the kind.
    () => Buffer.from(Array.from({ length: some(200) }, () => some(256))),
    // Labels to the end.
    (bytes) => Buffer.concat([bytes.subarray(0, 12), Buffer.alloc(some(300), some(70))]),
  ]
  return () => {
    const bytes = right()
    const packet = one(ways)(bytes)
    last = bytes
    return packet
  }
}

/**
 * What recursors may answer to a question: right, nearly right, and nothing of the kind.
 * @param {() => number} random
 * @returns {(question: Buffer) => Buffer}
 */
export function garbledAnswers(random) {
  /** @param {number} below */
  const some = (below) => Math.floor(random() * below)
  return (question) => {
    const answer = Buffer.from(question)
    const record = Buffer.from([
      0xc0,
      12,
      0,
      random() < 0.5 ? 1 : 5,
      0,
      1,
      0,
      0,
      0,
      some(256),
      0,
      4,
      10,
      0,
      0,
      1,
    ])
    const bytes = Buffer.concat([answer, ...Array.from({ length: some(6) }, () => record)])
    if (bytes.length > 12) bytes.writeUInt16BE(random() < 0.8 ? some(6) : some(0x1_0000), 6)
    for (let count = some(4); count > 0; count--) bytes[some(bytes.length)] = some(256)
    // Without authority, by which they are told from our own.
    bytes[2] = 0x80 | (some(128) & ~0x04)
    return random() < 0.8 ? bytes : bytes.subarray(0, some(bytes.length))
  }
}
