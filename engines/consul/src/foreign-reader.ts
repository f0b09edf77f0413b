import { defaultNamespace, type Entry, instanceId, type ServiceKey } from '@seamark/core'
import {
  foreignHealth,
  foreignId,
  foreignInstance,
  isForeign,
  modifiedIndex,
  type NodeDump,
  type Row,
  rows,
} from './foreign.ts'
import { entry } from './record.ts'

interface Read {
  /** Of all that the entry is made of: the catalog has no one index for that. */
  readonly signature: string
  readonly entry: Entry | undefined
}

/** Reads what others registered; what did not change since the last answer stays the same object. */
export class ForeignReader {
  readonly #covers: (key: ServiceKey) => boolean
  readonly #skipped: (key: string, error: unknown) => void
  #read = new Map<string, Read>()

  constructor(covers: (key: ServiceKey) => boolean, skipped: (key: string, error: unknown) => void) {
    this.#covers = covers
    this.#skipped = skipped
  }

  /** By `instanceId`. */
  fold(answer: readonly (Row | NodeDump)[], index: number): ReadonlyMap<string, Entry> {
    const read = new Map<string, Read>()
    const entries = new Map<string, Entry>()
    for (const row of rows(answer)) {
      const { Service: service } = row.Service
      if (!isForeign(row) || !this.#covers({ namespace: defaultNamespace, service })) continue
      const id = `${row.Service.Service}/${foreignId(row)}`
      const signature = JSON.stringify(row)
      const before = this.#read.get(id)
      const one = before?.signature === signature ? before : this.#parse(id, row, signature, before, index)
      read.set(id, one)
      if (one.entry !== undefined) entries.set(instanceId(one.entry.instance), one.entry)
    }
    this.#read = read
    return entries
  }

  #parse(id: string, row: Row, signature: string, before: Read | undefined, index: number): Read {
    try {
      const { CreateIndex } = row.Service
      const modified = Math.max(CreateIndex, modifiedIndex(row))
      // What a row loses, such as a check, has no index in it: then that of the answer is the best there is.
      const grown = before?.entry === undefined || modified > before.entry.modifiedRevision
      const read = { instance: foreignInstance(row), health: foreignHealth(row) }
      return {
        signature,
        entry: entry(read, { CreateIndex, ModifyIndex: Math.min(grown ? modified : index, index) }),
      }
    } catch (error) {
      this.#skipped(`service ${id}`, error)
      return { signature, entry: undefined }
    }
  }
}
