import { invalidField } from '@seamark/core'
import { type RequestInit, type Response, fetch as undiciFetch } from 'undici'
import type { Endpoint } from './endpoint.ts'
import type { Filter, Service } from './service.ts'

/** What a package needs of a service: each call answers who fits then. */
export interface PackageDependency {
  /** As declared. */
  readonly name: string
  /** The range, if one was declared. */
  readonly version: string | undefined
  /** Whether package.json names somebody else instead. */
  readonly isMock: boolean
  /** One healthy instance that fits, at once; `undefined` when there is none. See `Service.pick`. */
  pick(): Endpoint | undefined
  /** One healthy instance that fits. See `Service.find`. */
  find(): Promise<Endpoint>
  /** Sends a request to one that fits, and tries others where that does no harm. See `Service.fetch`. */
  fetch(path: string, init?: RequestInit): Promise<Response>
}

/** As the registry knows it. */
export class RegisteredDependency implements PackageDependency {
  readonly name: string
  readonly version: string | undefined
  readonly isMock = false
  readonly #service: Service
  readonly #filter: Filter | undefined

  constructor(name: string, version: string | undefined, service: Service) {
    this.name = name
    this.version = version
    this.#service = service
    this.#filter = version === undefined ? undefined : { version }
  }

  pick(): Endpoint | undefined {
    return this.#service.pick(this.#filter)
  }

  find(): Promise<Endpoint> {
    return this.#service.find(this.#filter)
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return this.#service.fetch(path, init, this.#filter)
  }

  /** As `find`, within so many milliseconds. */
  waitFor(timeout: number): Promise<Endpoint> {
    return this.#service.waitFor({ ...this.#filter, timeout })
  }
}

/** Somebody else, whom the registry is not asked about. */
export class MockedDependency implements PackageDependency {
  readonly name: string
  readonly version: string | undefined
  readonly isMock = true
  readonly #endpoint: Endpoint

  constructor(name: string, version: string | undefined, endpoint: Endpoint) {
    this.name = name
    this.version = version
    this.#endpoint = endpoint
  }

  pick(): Endpoint {
    return this.#endpoint
  }

  async find(): Promise<Endpoint> {
    return this.#endpoint
  }

  async fetch(path: string, init?: RequestInit): Promise<Response> {
    if (!path.startsWith('/')) throw invalidField('path', 'must begin with "/"')
    return undiciFetch(this.#endpoint.origin + path, init)
  }
}
