import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import {
  type Clock,
  type Engine,
  memory,
  type Notify,
  publicUrl,
  SeamarkError,
  type Source,
  sleep,
  systemClock,
} from '@seamark/core'
import { http } from './http.ts'

export interface OpenEngineOptions {
  readonly clock?: Clock
  readonly notify?: Notify
}

/** What the package of every engine exports, and of every source that is no engine. */
interface EnginePackage {
  open(url: string, options: OpenEngineOptions): Promise<Source>
}

/** Schemes that a package opens beside the one it is named after. */
const packages: Readonly<Record<string, string>> = {
  etcds: 'etcd',
  consuls: 'consul',
  rediss: 'redis',
  'redis-sentinel': 'redis',
  'rediss-sentinel': 'redis',
  postgresql: 'postgres',
}

/** Milliseconds to wait for a server's terms; without an answer, careful numbers stand in. */
const firstContact = 1_000

/**
 * Opens the engine that a URL names: `memory:` (in this process), `http://host:8500` or `https:` (a Seamark server;
 * several joined by commas), and any other `<scheme>:` from the package `@seamark/<scheme>` (variants
 * such as `rediss:` from that of the system). A server that is away is
 * no error here. Throws `configuration` for a URL that is none, a package that is not installed or a source that cannot be
 * written (`dns:`), and what the engine throws when it cannot open.
 */
export async function openEngine(url: string, options: OpenEngineOptions = {}): Promise<Engine> {
  const source = await openSource(url, options)
  if (isEngine(source)) return source
  await source[Symbol.asyncDispose]()
  throw readOnly(engineScheme(url))
}

/** As `openEngine`, also for what can only be read, such as plain DNS (`dns://10.0.0.2/local`). */
export async function openSource(url: string, options: OpenEngineOptions = {}): Promise<Source> {
  const scheme = engineScheme(url)
  if (scheme === 'memory') return memory(options)
  if (scheme === 'http' || scheme === 'https') {
    const engine = http(url, options)
    await Promise.race([engine.contact().catch(() => {}), sleep(options.clock ?? systemClock, firstContact)])
    return engine
  }
  const { open } = await enginePackage(scheme)
  return open(url, options)
}

/** Whether it can be written and enumerated, too. */
export function isEngine(source: Source): source is Engine {
  return 'register' in source && 'watchAll' in source && 'write' in source
}

export function readOnly(scheme: string): SeamarkError {
  return new SeamarkError(
    'configuration',
    `${scheme} is read-only: services can be found there, and not announced. Announce them to a Seamark server, or to an engine such as "etcd://host".`,
  )
}

/** The scheme of an engine's URL. Throws `configuration`. */
export function engineScheme(url: string): string {
  const scheme = /^([a-z][a-z0-9-]*):/.exec(url)?.[1]
  if (scheme === undefined)
    throw new SeamarkError(
      'configuration',
      `"${publicUrl(url)}" is not the URL of an engine, such as "http://127.0.0.1:8500", "memory:" or "lmdb:./data".`,
    )
  return scheme
}

async function enginePackage(scheme: string): Promise<EnginePackage> {
  const name = `@seamark/${packages[scheme] ?? scheme}`
  const module: Partial<EnginePackage> = await importPackage(name)
  if (typeof module.open !== 'function')
    throw new SeamarkError('configuration', `The package ${name} does not open engines.`)
  return module as EnginePackage
}

/** From here, or, where a package manager keeps packages apart, from the program that is running. */
async function importPackage(name: string): Promise<object> {
  try {
    return await import(name)
  } catch (cause) {
    if (!(cause instanceof Error && cause.message.includes(name))) {
      const message = `The package ${name} is there, but cannot be loaded: ${cause}`
      throw new SeamarkError('configuration', message, { cause })
    }
    const location = fromProgram(name)
    if (location !== undefined) return import(location)
    const message = `This URL needs the package ${name}, which is not installed: npm install ${name}`
    throw new SeamarkError('configuration', message, { cause })
  }
}

function fromProgram(name: string): string | undefined {
  try {
    const program = createRequire(pathToFileURL(process.argv[1] ?? `${process.cwd()}/`))
    return pathToFileURL(program.resolve(name)).href
  } catch {
    return undefined
  }
}
