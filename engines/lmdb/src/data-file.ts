import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { SeamarkError } from '@seamark/core'

/**
 * Reads LMDB's data file without LMDB, which trusts the file: a damaged page makes it crash the process, or overwrite
 * good pages later. Here every page in use is read once and held to what its place in the tree demands, before LMDB
 * gets to see the file; that the records come out of it on the way makes it cost next to nothing.
 *
 * The layout is that of `mdb.c` in lmdb 3.x (data version 2): little-endian, on a page a header of 24 bytes, in a tree
 * two-byte offsets of its nodes, and on meta pages 0 and 1 the roots of two trees. The first lists free pages by
 * transaction, the second is ours.
 */
export interface DataFileReader {
  /** Called for each record in the order of the keys, with buffers that are only valid during the call. */
  record(key: Buffer, value: Buffer): void
}

const magic = 0xbeefc0de
const dataVersion = 2
const headerBytes = 24
const metaBytes = 144
const nodeHeaderBytes = 8
const overflowReferenceBytes = 24

const flag = { branch: 1, leaf: 2, overflow: 4, meta: 8 } as const
const bigData = 1
/** The root of an empty tree. */
const nowhere = 0xffff_ffff_ffff_ffffn
const deepest = 32

/** A tree, as a meta page describes it. */
export interface Tree {
  readonly depth: number
  readonly branches: number
  readonly leaves: number
  readonly overflows: number
  readonly entries: number
  readonly root: number | undefined
}

export interface Meta {
  readonly pageBytes: number
  readonly free: Tree
  readonly main: Tree
  readonly lastPage: number
  readonly transaction: number
}

/** Reads all there is. Throws `store_damaged`, `store_too_new`; the file is opened for reading only. */
export function readDataFile(path: string, reader: DataFileReader): void {
  const file = openSync(path, 'r')
  try {
    new DataFile(path, file).read(reader)
  } finally {
    closeSync(file)
  }
}

class DataFile {
  readonly #path: string
  readonly #file: number
  readonly #meta: Meta
  /** One bit for each page, set once it was met: each belongs to one place. */
  readonly #met: Uint8Array
  readonly #buffers: Buffer[] = []

  constructor(path: string, file: number) {
    this.#path = path
    this.#file = file
    this.#meta = latestMeta(path, file)
    // A page that is in use has been written, so the file cannot be longer than memory can count.
    const pages = Math.ceil(fstatSync(file).size / this.#meta.pageBytes)
    this.#met = new Uint8Array((pages >> 3) + 1)
    this.#meet(0, 2)
  }

  read(reader: DataFileReader): void {
    const { main, free } = this.#meta
    this.#walk(main, (key, value) => {
      try {
        reader.record(key, value)
      } catch (error) {
        throw this.#damaged(`a record cannot be read: ${(error as Error).message}`, error)
      }
    })
    this.#walk(free, (key, value) => this.#readFreePages(key, value))
  }

  #walk(tree: Tree, record: (key: Buffer, value: Buffer) => void): void {
    const met = { branches: 0, leaves: 0, overflows: 0, entries: 0 }
    const visit = (number: number, depth: number): void => {
      const page = this.#readPage(number, depth)
      const leaf = depth === tree.depth
      const nodes = this.#nodes(page, leaf ? flag.leaf : flag.branch)
      if (leaf) met.leaves++
      else met.branches++
      for (let index = 0; index < nodes; index++) {
        const at = headerBytes + page.readUInt16LE(headerBytes + 2 * index)
        if (at + nodeHeaderBytes > page.length) throw this.#damaged(`page ${number} is not well-formed`)
        const keyAt = at + nodeHeaderBytes
        const keyEnd = keyAt + page.readUInt16LE(at + 6)
        if (!leaf) {
          if (keyEnd > page.length) throw this.#damaged(`page ${number} is not well-formed`)
          visit(page.readUInt32LE(at) + page.readUInt16LE(at + 4) * 2 ** 32, depth + 1)
          continue
        }
        met.entries++
        const flags = page.readUInt16LE(at + 4)
        const size = page.readUInt32LE(at)
        const end = keyEnd + (flags === bigData ? overflowReferenceBytes : size)
        if (flags > bigData || end > page.length) throw this.#damaged(`page ${number} is not well-formed`)
        const key = page.subarray(keyAt, keyEnd)
        if (flags === bigData) {
          const pages = this.#number(page, keyEnd + 16)
          met.overflows += pages
          record(key, this.#readOverflow(this.#number(page, keyEnd), pages, size))
        } else record(key, page.subarray(keyEnd, end))
      }
    }
    if (tree.depth > deepest) throw this.#damaged('its tree is too deep')
    if (tree.root !== undefined) visit(tree.root, 1)
    for (const [what, count] of Object.entries(met))
      if (count !== tree[what as keyof typeof met])
        throw this.#damaged(`it has ${count} ${what} instead of ${tree[what as keyof typeof met]}`)
  }

  #readPage(number: number, depth: number): Buffer {
    const { pageBytes } = this.#meta
    this.#buffers[depth] ??= Buffer.allocUnsafe(pageBytes)
    const page = this.#buffers[depth]
    this.#meet(number, 1)
    this.#readBytes(page, pageBytes, number * pageBytes)
    if (this.#number(page, 0) !== number) throw this.#damaged(`page ${number} is not there`)
    return page
  }

  #nodes(page: Buffer, kind: number): number {
    const lower = page.readUInt16LE(20)
    const upper = page.readUInt16LE(22)
    if (
      page.readUInt16LE(18) !== kind ||
      lower > upper ||
      headerBytes + upper > page.length ||
      lower % 2 === 1
    )
      throw this.#damaged(`page ${this.#number(page, 0)} is not well-formed`)
    return lower / 2
  }

  #readOverflow(number: number, pages: number, size: number): Buffer {
    const { pageBytes } = this.#meta
    // One that shrank in the transaction that wrote it keeps its pages.
    if (pages < Math.ceil((headerBytes + size) / pageBytes))
      throw this.#damaged(`a record of ${size} bytes has ${pages} pages`)
    this.#meet(number, pages)
    const bytes = Buffer.allocUnsafe(headerBytes + size)
    this.#readBytes(bytes, bytes.length, number * pageBytes)
    if (
      this.#number(bytes, 0) !== number ||
      bytes.readUInt16LE(18) !== flag.overflow ||
      bytes.readUInt32LE(20) !== pages
    )
      throw this.#damaged(`page ${number} is not well-formed`)
    return bytes.subarray(headerBytes)
  }

  /** A list is its length and pages: a number, or a negative count and the first of so many; 0 fills gaps. */
  #readFreePages(key: Buffer, list: Buffer): void {
    if (key.length !== 8 || list.length < 8) throw this.#damaged('its list of free pages is not one')
    const length = this.#number(list, 0)
    if (8 * (length + 1) > list.length) throw this.#damaged('its list of free pages is not one')
    for (let index = 1; index <= length; index++) {
      const entry = list.readBigInt64LE(8 * index)
      if (entry === 0n) continue
      if (entry < 0n) index++
      if (index > length) throw this.#damaged('its list of free pages is not one')
      this.#meet(this.#number(list, 8 * index), entry < 0n ? Number(-entry) : 1)
    }
  }

  /** Notes that pages have their place. A free one may be past the end of the file, where nobody can meet it twice. */
  #meet(number: number, pages: number): void {
    const { lastPage } = this.#meta
    if (number + pages - 1 > lastPage) throw this.#damaged(`page ${number} is out of range`)
    for (let page = number; page < number + pages && page >> 3 < this.#met.length; page++) {
      const bit = 1 << (page & 7)
      if ((this.#met[page >> 3]! & bit) !== 0) throw this.#damaged(`page ${page} is in two places`)
      this.#met[page >> 3]! |= bit
    }
  }

  #readBytes(into: Buffer, bytes: number, offset: number): void {
    readBytes(this.#path, this.#file, into, bytes, offset)
  }

  #number(bytes: Buffer, at: number): number {
    return number(this.#path, bytes, at)
  }

  #damaged(how: string, cause?: unknown): SeamarkError {
    return damaged(this.#path, how, cause)
  }
}

/** What the last commit left. Throws `store_damaged`, `store_too_new`. */
export function latestMeta(path: string, file: number): Meta {
  const first = readMeta(path, file, 0)
  const second = readMeta(path, file, first.pageBytes)
  if (second.pageBytes !== first.pageBytes) throw damaged(path, 'its two meta pages disagree')
  return first.transaction > second.transaction ? first : second
}

function readMeta(path: string, file: number, offset: number): Meta {
  const page = Buffer.allocUnsafe(headerBytes + metaBytes)
  readBytes(path, file, page, page.length, offset)
  if (page.readUInt16LE(18) !== flag.meta || page.readUInt32LE(24) !== magic)
    throw damaged(path, 'it is not an LMDB data file')
  const version = page.readUInt32LE(28) & 0xffff
  if (version > dataVersion)
    throw new SeamarkError(
      'store_too_new',
      `The store "${path}" was written by a newer LMDB (data version ${version}; this one reads ${dataVersion}): use the Seamark that wrote it, or a newer one. Nothing was changed.`,
    )
  const pageBytes = page.readUInt32LE(48)
  if (version !== dataVersion || pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0)
    throw damaged(path, 'its meta page is not one')
  return {
    pageBytes,
    free: readTree(path, page, 48),
    main: readTree(path, page, 96),
    lastPage: number(path, page, 144),
    transaction: number(path, page, 152),
  }
}

function readTree(path: string, page: Buffer, at: number): Tree {
  const root = page.readBigUInt64LE(at + 40)
  return {
    depth: page.readUInt16LE(at + 6),
    branches: number(path, page, at + 8),
    leaves: number(path, page, at + 16),
    overflows: number(path, page, at + 24),
    entries: number(path, page, at + 32),
    root: root === nowhere ? undefined : number(path, page, at + 40),
  }
}

function readBytes(path: string, file: number, into: Buffer, bytes: number, offset: number): void {
  if (readSync(file, into, 0, bytes, offset) !== bytes) throw damaged(path, 'it ends too early')
}

function number(path: string, bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4)
  if (high >= 2 ** 16) throw damaged(path, 'a number in it is out of range')
  return high * 2 ** 32 + bytes.readUInt32LE(at)
}

export function damaged(path: string, how: string, cause?: unknown): SeamarkError {
  return new SeamarkError(
    'store_damaged',
    `The store "${path}" is damaged: ${how}. It was left as it is. Put a backup in its place, or move it away to start empty: services that renew their leases register again by themselves.`,
    cause === undefined ? {} : { cause },
  )
}
