/**
 * The two messages of grpc.health.v1, in Protocol Buffers' encoding, each in its gRPC frame (one byte "not
 * compressed", four bytes length):
 *
 *     message HealthCheckRequest  { string service = 1; }
 *     message HealthCheckResponse { ServingStatus status = 1; }
 */
export const servingStatuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const

const frameHeaderBytes = 5

/** A framed request for one service; at most 255 bytes of name. */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service)
  // Field 1, length-delimited. A field with its default value, here the empty string, is left out.
  const message = name.length === 0 ? name : Buffer.concat([Buffer.of(0x0a), varint(name.length), name])
  const header = Buffer.alloc(frameHeaderBytes)
  header.writeUInt32BE(message.length, 1)
  return Buffer.concat([header, message])
}

/** The serving status of a framed response; `undefined` when it is none. Fields of later versions are skipped. */
export function decodeResponse(frame: Buffer): number | undefined {
  if (frame.length < frameHeaderBytes || frame[0] !== 0) return undefined
  const message = frame.subarray(frameHeaderBytes)
  if (frame.readUInt32BE(1) !== message.length) return undefined
  const reader = new Reader(message)
  let status: number | undefined = 0
  while (!reader.done) {
    const tag = reader.varint()
    if (tag === undefined) return undefined
    if (tag === 0x08) status = reader.varint()
    else if (!reader.skip(tag & 7)) return undefined
    if (status === undefined) return undefined
  }
  return status
}

/** Reads a message of Protocol Buffers; `undefined` and `false` mean that it is cut short or malformed. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  varint(): number | undefined {
    let value = 0
    for (let shift = 0; shift < 63; shift += 7) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) return undefined
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return undefined
  }

  /** Skips a field's value by its wire type. */
  skip(wireType: number): boolean {
    if (wireType === 0) return this.varint() !== undefined
    const length = wireType === 2 ? this.varint() : fixedLengths[wireType]
    if (length === undefined) return false
    this.#at += length
    return this.#at <= this.#bytes.length
  }
}

/** Bytes of the wire types that have the same everywhere: I64 and I32. */
const fixedLengths: Readonly<Record<number, number>> = { 1: 8, 5: 4 }

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80)
  bytes.push(value)
  return Buffer.from(bytes)
}
