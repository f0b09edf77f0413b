import { isUtf8 } from 'node:buffer'
import { ConsulError } from '../answer.ts'
import { anything, DecodeError, object, parsed, type Shape, text } from '../body.ts'
import { quote } from '../filter/quote.ts'
import { markUnsigned, readUnsigned } from '../kv/unsigned.ts'

/** One operation on a key. */
export interface KeyOperation {
  readonly Verb: string
  readonly Key: string
  readonly Value: Buffer
  readonly Flags: bigint
  readonly Index: bigint
  readonly Session: string
}

/** An operation on something else: what it is, and the rest as it came. */
export interface CatalogOperation {
  readonly type: 'Node' | 'Service' | 'Check'
  readonly Verb: string
  readonly body: Readonly<Record<string, unknown>>
}

/** `undefined`: nothing was asked for. */
export type Operation = { readonly type: 'KV'; readonly kv: KeyOperation } | CatalogOperation | undefined

/** Operations of a transaction, as Consul decodes them. Throws 400 in its words. */
export function operations(body: Buffer): Operation[] {
  try {
    const source = isUtf8(body) ? body.toString() : body.toString('latin1')
    const value = parsed(Buffer.from(markUnsigned(source)))
    if (value === null) return []
    if (!Array.isArray(value))
      throw new DecodeError(`json: cannot unmarshal ${kindOf(value)} into Go value of type api.TxnOps`)
    return value.map(operation)
  } catch (error) {
    if (error instanceof DecodeError) throw new ConsulError(400, `Failed to parse body: ${error.message}`)
    throw error
  }
}

const unsigned: Shape<bigint> = (value, path) => {
  const number = readUnsigned(value)
  if (number === undefined)
    throw new DecodeError(
      `json: cannot unmarshal ${typeof value === 'number' ? `number ${value}` : kindOf(value)} into Go struct field ${path} of type uint64`,
    )
  return number
}

const bytes: Shape<Buffer> = (value, path) => {
  if (typeof value !== 'string')
    throw new DecodeError(
      `json: cannot unmarshal ${kindOf(value)} into Go struct field ${path} of type []uint8`,
    )
  const plain = value.replaceAll(/[\r\n]/g, '')
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(plain)) {
    const wrong = plain.search(/[^A-Za-z0-9+/]/)
    throw new DecodeError(
      `illegal base64 data at input byte ${wrong < 0 ? plain.length - (plain.length % 4) : wrong}`,
    )
  }
  return Buffer.from(plain, 'base64')
}

const kv = object<{
  Verb: string
  Key: string
  Value: Buffer
  Flags: bigint
  Index: bigint
  Session: string
  Namespace: string
  Partition: unknown
}>(
  {
    Verb: text,
    Key: text,
    Value: bytes,
    Flags: unsigned,
    Index: unsigned,
    Session: text,
    Namespace: text,
    Partition: anything,
  },
  { struct: 'api.KVTxnOp', strict: true },
)

const other = object<{ Verb: string; Node: unknown; Service: unknown; Check: unknown }>({
  Verb: text,
  Node: anything,
  Service: anything,
  Check: anything,
})

const kinds = ['KV', 'Node', 'Service', 'Check'] as const
const fields = new Map(kinds.map((kind) => [kind.toLowerCase(), kind]))

function operation(value: unknown): Operation {
  if (value === null) return undefined
  if (typeof value !== 'object' || Array.isArray(value))
    throw new DecodeError(`json: cannot unmarshal ${kindOf(value)} into Go value of type api.TxnOp`)
  const found = new Map<(typeof kinds)[number], unknown>()
  for (const [name, inner] of Object.entries(value as object)) {
    const kind = fields.get(name.toLowerCase())
    if (kind === undefined) throw new DecodeError(`json: unknown field ${quote(name)}`)
    if (inner !== null) found.set(kind, inner)
  }
  for (const type of kinds) {
    if (!found.has(type)) continue
    const inner = found.get(type)
    if (typeof inner !== 'object' || Array.isArray(inner))
      throw new DecodeError(
        `json: cannot unmarshal ${kindOf(inner)} into Go struct field TxnOp.${type} of type api.${type}TxnOp`,
      )
    if (type === 'KV') return { type, kv: keyOperation(inner) }
    const { Verb = '', ...body } = other(inner, type)
    return { type, Verb, body }
  }
  return undefined
}

function keyOperation(value: unknown): KeyOperation {
  const { Verb = '', Key = '', Value, Flags = 0n, Index = 0n, Session = '' } = kv(value, 'TxnOp.KV')
  return { Verb, Key, Value: Value ?? Buffer.alloc(0), Flags, Index, Session }
}

/** What Go calls it. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}
