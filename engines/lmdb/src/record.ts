import { crc32 } from 'node:zlib'
import {
  type CheckDefinition,
  type CheckResult,
  type ClaimKey,
  type Entry,
  type Holder,
  health,
  type Instance,
  type InstanceKey,
  type Item,
  passing,
  type Registration,
  type Revision,
  type Route,
} from '@seamark/core'

/** What this version writes; it reads older ones too. Format 1 had no items. */
export const format = 2

export interface About {
  readonly format: number
  readonly revision: Revision
}

/**
 * A key is a kind and names joined by NUL, which no name holds; at most 1,025 bytes. A value is JSON and, in its last
 * four bytes, the CRC-32 of key and JSON (little-endian); an item's has, in the place of JSON, two revisions (64 bits each,
 * little-endian) and the item's own bytes. The record about the store has the first key and keeps its
 * form in all formats, so that an older Seamark can tell a newer store from a damaged one.
 */
const kinds = { about: 1, registration: 2, claim: 3, item: 4 } as const

const checksumBytes = 4
const revisionBytes = 8

export const aboutKey = Buffer.of(kinds.about)

export function aboutValue(revision: Revision): Buffer {
  return sealed(aboutKey, JSON.stringify({ format, revision } satisfies About))
}

export function registrationKey({ namespace, service, id }: InstanceKey): Buffer {
  return Buffer.from(`\u0002${namespace}\0${service}\0${id}`)
}

export function registrationValue(key: Buffer, { entry, token, ttl }: Registration): Buffer {
  const { instance, health, createdRevision, modifiedRevision } = entry
  const { address, port, scheme, version, zone, weight, tags, metadata, checks, route } = instance
  const row: RegistrationRow = [
    token,
    ttl ?? 0,
    createdRevision,
    modifiedRevision,
    address,
    port,
    scheme,
    weight,
    version ?? 0,
    zone ?? 0,
    tags.length === 0 ? 0 : tags,
    isEmpty(metadata) ? 0 : metadata,
    checks.length === 0 ? 0 : checks,
    health.checks.length === 0 ? 0 : health.checks.map(({ id, status, output }) => [id, status, output]),
    route ?? 0,
  ]
  while (row.length > minimalRow && row.at(-1) === 0) (row as unknown[]).pop()
  return sealed(key, JSON.stringify(row))
}

export function claimKey({ namespace, service, name }: ClaimKey): Buffer {
  return Buffer.from(`\u0003${namespace}\0${service}\0${name}`)
}

export function claimValue(key: Buffer, { id, fence }: Holder): Buffer {
  return sealed(key, JSON.stringify([id, fence] satisfies ClaimRow))
}

export function itemKey(key: string): Buffer {
  return Buffer.from(`\u0004${key}`)
}

export function itemValue(key: Buffer, { value, createdRevision, modifiedRevision }: Item): Buffer {
  const bytes = Buffer.allocUnsafe(revisionBytes * 2 + value.byteLength + checksumBytes)
  bytes.writeBigUInt64LE(BigInt(createdRevision), 0)
  bytes.writeBigUInt64LE(BigInt(modifiedRevision), revisionBytes)
  bytes.set(value, revisionBytes * 2)
  return seal(key, bytes)
}

/** 0 stands for "has none"; those at the end are left out. */
type RegistrationRow = [
  token: string,
  ttl: number,
  createdRevision: Revision,
  modifiedRevision: Revision,
  address: string,
  port: number,
  scheme: string,
  weight: number,
  version?: string | 0,
  zone?: string | 0,
  tags?: readonly string[] | 0,
  metadata?: Readonly<Record<string, string>> | 0,
  checks?: readonly CheckDefinition[] | 0,
  health?: readonly (readonly [id: string, status: CheckResult['status'], output: string])[] | 0,
  route?: Route | 0,
]
const minimalRow = 8

type ClaimRow = [id: string, fence: Revision]

const none: readonly never[] = Object.freeze([])
const noMetadata: Readonly<Record<string, string>> = Object.freeze({})

/** Reads records, in the order of their keys. What many have in common is kept once. */
export class RecordReader {
  about: About | undefined
  readonly registrations: Registration[] = []
  readonly holders: Holder[] = []
  readonly items: Item[] = []
  readonly #strings = new Map<string, string>()
  /** The beginning of the last key, up to its second NUL. */
  #prefix: Buffer = Buffer.alloc(0)
  #namespace = ''
  #service = ''

  /** Throws when the record is none of this format's. What `key` and `value` hold is not kept. */
  read(key: Buffer, value: Buffer): void {
    const end = value.length - checksumBytes
    if (end < 0 || crc32(value.subarray(0, end), crc32(key)) !== value.readUInt32LE(end))
      throw new Error('its checksum is wrong')
    if (this.about === undefined) this.#readAbout(key, value.toString('utf8', 0, end))
    else if (this.about.format > format) return
    else if (key[0] === kinds.item) this.#readItem(key, value.subarray(0, end))
    else this.#readRow(key, value.toString('utf8', 0, end))
  }

  #readAbout(key: Buffer, text: string): void {
    if (!key.equals(aboutKey)) throw new Error('the record about the store is missing')
    this.about = JSON.parse(text) as About
  }

  #readItem(key: Buffer, bytes: Buffer): void {
    this.items.push(
      Object.freeze({
        key: key.toString('utf8', 1),
        value: Uint8Array.from(bytes.subarray(revisionBytes * 2)),
        createdRevision: Number(bytes.readBigUInt64LE(0)),
        modifiedRevision: Number(bytes.readBigUInt64LE(revisionBytes)),
      }),
    )
  }

  #readRow(key: Buffer, text: string): void {
    const { length } = this.#prefix
    if (length === 0 || key.length < length || key.compare(this.#prefix, 0, length, 0, length) !== 0)
      this.#turn(key)
    const name = key.toString('utf8', this.#prefix.length)
    if (key[0] === kinds.registration) this.registrations.push(this.#registration(name, JSON.parse(text)))
    else if (key[0] === kinds.claim) this.holders.push(this.#holder(name, JSON.parse(text)))
    else throw new Error('it is of no known kind')
  }

  #turn(key: Buffer): void {
    const first = key.indexOf(0, 1)
    const second = key.indexOf(0, first + 1)
    if (first === -1 || second === -1) throw new Error('its key is not one')
    this.#prefix = Buffer.from(key.subarray(0, second + 1))
    this.#namespace = this.#shared(key.toString('utf8', 1, first))
    this.#service = this.#shared(key.toString('utf8', first + 1, second))
  }

  #registration(id: string, row: RegistrationRow): Registration {
    const [token, ttl, createdRevision, modifiedRevision, address, port, scheme, weight] = row
    const [
      ,
      ,
      ,
      ,
      ,
      ,
      ,
      ,
      version = 0,
      zone = 0,
      tags = 0,
      metadata = 0,
      checks = 0,
      results = 0,
      route = 0,
    ] = row
    const instance: Instance = Object.freeze({
      namespace: this.#namespace,
      service: this.#service,
      id,
      address,
      port,
      scheme: this.#shared(scheme),
      ...(version !== 0 && { version: this.#shared(version) }),
      ...(zone !== 0 && { zone: this.#shared(zone) }),
      weight,
      tags: tags === 0 ? none : Object.freeze(tags.map((tag) => this.#shared(tag))),
      metadata: metadata === 0 ? noMetadata : Object.freeze(metadata),
      checks: checks === 0 ? none : Object.freeze(checks.map(deepFrozen)),
      ...(route !== 0 && { route: deepFrozen(route) }),
    })
    const entry: Entry = Object.freeze({
      instance,
      health: results === 0 ? passing : health(results.map(result)),
      createdRevision,
      modifiedRevision,
    })
    return { entry, token, ttl: ttl === 0 ? undefined : ttl }
  }

  #holder(name: string, [id, fence]: ClaimRow): Holder {
    return Object.freeze({ namespace: this.#namespace, service: this.#service, id, name, fence })
  }

  #shared(string: string): string {
    const known = this.#strings.get(string)
    if (known !== undefined) return known
    this.#strings.set(string, string)
    return string
  }
}

function result([id, status, output]: readonly [string, CheckResult['status'], string]): CheckResult {
  return Object.freeze({ id, status, output })
}

function deepFrozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const part of Object.values(value)) deepFrozen(part)
  return Object.freeze(value)
}

function isEmpty(record: Readonly<Record<string, string>>): boolean {
  for (const _ in record) return false
  return true
}

function sealed(key: Buffer, text: string): Buffer {
  const length = Buffer.byteLength(text)
  const value = Buffer.allocUnsafe(length + checksumBytes)
  value.write(text, 0, length)
  return seal(key, value)
}

/** Writes the checksum into the last bytes. */
function seal(key: Buffer, value: Buffer): Buffer {
  const end = value.length - checksumBytes
  value.writeUInt32LE(crc32(value.subarray(0, end), crc32(key)), end)
  return value
}
