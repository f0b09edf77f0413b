import { readFileSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import {
  type Clock,
  type Entry,
  health,
  healthStatuses,
  instance,
  type Notify,
  type ServiceKey,
  serviceId,
  type Timer,
} from '@seamark/core'
import { type EntryJson, encodeEntry } from './wire.ts'

/** What was known of one service, and when. */
export interface StoredService {
  /** Milliseconds since 1970. */
  readonly date: number
  readonly entries: readonly Entry[]
}

export interface SnapshotFileOptions {
  readonly clock: Clock
  readonly notify: Notify
  /** What is to be kept at this moment. */
  readonly content: () => Iterable<StoredService>
}

const format = 1
/** Milliseconds between a change and the writing of it, together with all that changed meanwhile. */
const delay = 1_000
/** Milliseconds that a service is kept which no run asked for. */
const oldest = 7 * 86_400_000

/** The services a client knows, on disk: for its next run, should the registry be away then. */
export class SnapshotFile {
  readonly #path: string
  readonly #options: SnapshotFileOptions
  /** What the former run left, by service. */
  readonly former: ReadonlyMap<string, StoredService>
  #timer: Timer | undefined
  #writing: Promise<void> = Promise.resolve()
  #failed = false

  /** Reads what is there. A damaged file counts as none, and a notice says so. */
  constructor(path: string, options: SnapshotFileOptions) {
    this.#path = path
    this.#options = options
    this.former = this.#read()
  }

  /** Something changed. */
  touch(): void {
    this.#timer ??= this.#options.clock.after(delay, () => {
      this.#timer = undefined
      this.#write()
    })
  }

  /** Writes what was touched and not written yet. */
  async close(): Promise<void> {
    if (this.#timer !== undefined) {
      this.#timer.cancel()
      this.#timer = undefined
      this.#write()
    }
    await this.#writing
  }

  #read(): ReadonlyMap<string, StoredService> {
    try {
      return parsed(readFileSync(this.#path, 'utf8'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#options.notify({
          level: 'warn',
          event: 'cache_ignored',
          message: `The snapshot in ${this.#path} cannot be used, and is ignored: ${error instanceof Error ? error.message : error}`,
          details: { error },
        })
      return new Map()
    }
  }

  /** One at a time: each leaves a whole file, whenever the process ends. */
  #write(): void {
    this.#writing = this.#writing.then(async () => {
      const temporary = `${this.#path}.${process.pid}.tmp`
      try {
        const text = this.#text()
        const file = await open(temporary, 'w', 0o600)
        try {
          await file.writeFile(text)
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(temporary, this.#path)
        this.#failed = false
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => {})
        if (this.#failed) return
        this.#failed = true
        this.#options.notify({
          level: 'warn',
          event: 'cache_failed',
          message: `What is known of the services cannot be kept in ${this.#path}.`,
          details: { error },
        })
      }
    })
  }

  #text(): string {
    const services = new Map<string, StoredService>()
    for (const [id, former] of this.former)
      if (this.#options.clock.date() - former.date < oldest) services.set(id, former)
    for (const { date, entries } of this.#options.content())
      if (entries[0] !== undefined) services.set(serviceId(entries[0].instance), { date, entries })
    const list = [...services.values()].map(({ date, entries }) => ({
      date,
      entries: entries.map(encodeEntry),
    }))
    return JSON.stringify({ format, services: list })
  }
}

/** Strangers may have written the file: what it says is held to all rules. Throws what is wrong. */
function parsed(text: string): Map<string, StoredService> {
  const content = JSON.parse(text)
  if (content?.format !== format) throw new Error(`its format is ${content?.format}, not ${format}`)
  const services = new Map<string, StoredService>()
  for (const { date, entries } of content.services as { date: unknown; entries: EntryJson[] }[]) {
    if (!Number.isSafeInteger(date)) throw new Error('a date in it is wrong')
    const stored = { date: date as number, entries: entries.map(checked) }
    const key: ServiceKey | undefined = stored.entries[0]?.instance
    if (key !== undefined) services.set(serviceId(key), stored)
  }
  return services
}

function checked({ health: observed, createdRevision, modifiedRevision, ...described }: EntryJson): Entry {
  for (const revision of [createdRevision, modifiedRevision])
    if (!Number.isSafeInteger(revision)) throw new Error('a revision in it is wrong')
  const results = observed.checks.map(({ id, status, output }) => {
    if (typeof id !== 'string' || typeof output !== 'string' || !healthStatuses.includes(status))
      throw new Error('a health in it is wrong')
    return Object.freeze({ id, status, output })
  })
  return Object.freeze({
    instance: instance(described),
    health: health(results),
    createdRevision,
    modifiedRevision,
  })
}
