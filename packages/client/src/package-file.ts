import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import {
  checkLabel,
  type Duration,
  instance,
  isSeamarkError,
  milliseconds,
  passing,
  SeamarkError,
  versionRange,
} from '@seamark/core'
import { type Endpoint, endpoint } from './endpoint.ts'
import { serviceKey } from './service-key.ts'

/** What a package.json says of a service and of what it needs. */
export interface PackageFile {
  readonly path: string
  /** Without a scope: `api` of `@shop/api`. */
  readonly name: string | undefined
  readonly version: string | undefined
  /** The range needed of each service, by its name; `undefined` for any. */
  readonly dependencies: ReadonlyMap<string, string | undefined>
  /** What stands in for services, by their names. */
  readonly mocks: ReadonlyMap<string, Endpoint>
  readonly ttl: Duration | undefined
}

export interface PackageFileOptions {
  /** A path, or a URL of scheme `file`. */
  readonly file: string | URL
  /** For names that say none themselves. */
  readonly namespace: string
}

type Fields = Readonly<Record<string, unknown>>

const known = ['dependencies', 'mocks', 'ttl']

/** Ports that a mock need not say. */
const ports: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 }

/** Reads it whole, and throws `configuration`, naming the file and the field, for what cannot be meant so. */
export async function packageFile({ file, namespace }: PackageFileOptions): Promise<PackageFile> {
  const path = file instanceof URL ? fileURLToPath(file) : file
  return new Reading(path, namespace).result(await parsed(path))
}

async function parsed(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new SeamarkError('configuration', `${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SeamarkError('configuration', `${path} is no JSON: ${(cause as Error).message}`, { cause })
  }
}

class Reading {
  readonly #path: string
  readonly #namespace: string

  constructor(path: string, namespace: string) {
    this.#path = path
    this.#namespace = namespace
  }

  result(json: unknown): PackageFile {
    const { name, version, seamark = {} } = this.#fields('the package', json)
    const block = this.#fields('seamark', seamark)
    for (const field of Object.keys(block))
      if (!known.includes(field)) throw this.#wrong(`seamark.${field}`, `is none of ${known.join(', ')}`)
    const { dependencies = {}, mocks = {}, ttl } = block
    return {
      path: this.#path,
      name: name === undefined ? undefined : this.#name(name),
      version: version === undefined ? undefined : this.#version(version),
      dependencies: this.#byService('seamark.dependencies', dependencies, (field, range) =>
        this.#range(field, range),
      ),
      mocks: this.#byService('seamark.mocks', mocks, (field, url, service) =>
        this.#mock(field, url, service),
      ),
      ttl: ttl === undefined ? undefined : this.#checked('seamark.ttl', () => milliseconds('ttl', ttl)),
    }
  }

  #name(name: unknown): string {
    return this.#checked('name', () => {
      const bare = typeof name === 'string' ? name.replace(/^@[^/]*\//, '') : name
      checkLabel('name', bare)
      return bare
    })
  }

  #version(version: unknown): string {
    const probe = { namespace: 'default', service: 'a', id: 'a', address: 'localhost', port: 1 }
    return this.#checked('version', () => instance({ ...probe, version: version as string }).version!)
  }

  /** Those of npm; `*` is also for who has no version. */
  #range(field: string, range: unknown): string | undefined {
    if (range === '*') return undefined
    return this.#checked(field, () => {
      versionRange(range as string)
      return range as string
    })
  }

  #mock(field: string, text: unknown, service: string): Endpoint {
    const url = typeof text === 'string' ? origin(text) : undefined
    if (url === undefined)
      throw this.#wrong(
        field,
        'must be host:port or an origin, such as "localhost:3000" or "https://localhost"',
      )
    const mocked = this.#checked(field, () =>
      instance({
        ...serviceKey(service, this.#namespace),
        id: 'mock',
        address: url.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: Number(url.port || ports[url.protocol]),
        scheme: url.protocol.slice(0, -1),
      }),
    )
    return endpoint({ instance: mocked, health: passing, createdRevision: 0, modifiedRevision: 0 })
  }

  #byService<T>(
    field: string,
    json: unknown,
    read: (field: string, value: unknown, service: string) => T,
  ): ReadonlyMap<string, T> {
    const values = new Map<string, T>()
    for (const [service, value] of Object.entries(this.#fields(field, json))) {
      const of = `${field}.${service}`
      this.#checked(of, () => serviceKey(service, this.#namespace))
      values.set(service, read(of, value, service))
    }
    return values
  }

  #fields(field: string, json: unknown): Fields {
    if (typeof json !== 'object' || json === null || Array.isArray(json))
      throw this.#wrong(field, 'must be an object')
    return json as Fields
  }

  /** What core says of a value, said of the field it is in. */
  #checked<T>(field: string, check: () => T): T {
    try {
      return check()
    } catch (cause) {
      if (!isSeamarkError(cause, 'invalid_field')) throw cause
      throw this.#wrong(field, cause.message.slice((cause.field ?? '').length).trimStart(), cause)
    }
  }

  #wrong(field: string, problem: string, cause?: unknown): SeamarkError {
    return new SeamarkError('configuration', `${this.#path}: ${field} ${problem}`, {
      field,
      ...(cause !== undefined && { cause }),
    })
  }
}

/** `undefined` for what is neither host:port nor an origin. */
function origin(text: string): URL | undefined {
  const full = text.includes('://') ? text : /:\d+$/.test(text) ? `http://${text}` : ''
  if (!URL.canParse(full)) return undefined
  const url = new URL(full)
  const { hostname, port, protocol, pathname, search, hash, username, password } = url
  const more = pathname.replace(/^\/$/, '') + search + hash + username + password
  return hostname !== '' && (port !== '' || protocol in ports) && more === '' ? url : undefined
}
