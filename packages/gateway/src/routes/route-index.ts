import { limits } from '@seamark/core'
import type { Rule } from '../ports.ts'
import { segments } from './forward-path.ts'
import { comparable } from './request-path.ts'

/**
 * Rules of one priority by their host and path. What a request costs is bounded by the rules there are, however long its host
 * and its path.
 */
export class RouteIndex {
  readonly #hosts = new Map<string, PathIndex>()
  /** By what comes after `*.` */
  readonly #wildcards = new Map<string, PathIndex>()
  readonly #anyHost = new PathIndex()

  /** Those that are added first are found first, of rules with the same host and path. */
  add(rule: Rule): void {
    this.#paths(rule.route.host).add(rule)
  }

  /** The first that fits. `misses` gets the methods of those that fit but for the method. */
  find(method: string, host: string, path: string, misses?: Set<string>): Rule | undefined {
    const found = this.#hosts.get(host)?.find(method, path, misses)
    if (found !== undefined) return found
    if (this.#wildcards.size > 0 && host.length <= limits.addressBytes)
      for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
        const found = this.#wildcards.get(host.slice(dot + 1))?.find(method, path, misses)
        if (found !== undefined) return found
      }
    return this.#anyHost.find(method, path, misses)
  }

  #paths(host: string | undefined): PathIndex {
    if (host === undefined) return this.#anyHost
    const [map, key] = host.startsWith('*.')
      ? [this.#wildcards, host.slice(2)]
      : [this.#hosts, host.includes(':') ? `[${host}]` : host]
    let paths = map.get(key)
    if (paths === undefined) {
      paths = new PathIndex()
      map.set(key, paths)
    }
    return paths
  }
}

class PathIndex {
  /** By the path as it is compared; the root is empty, as it comes before the first slash. */
  readonly #rules = new Map<string, Rule[]>()
  /** Most segments of a path here. */
  #depth = 0

  add(rule: Rule): void {
    const { path } = rule.route
    const key = path === '/' ? '' : comparable(path)
    this.#depth = Math.max(this.#depth, segments(path))
    const rules = this.#rules.get(key)
    if (rules === undefined) this.#rules.set(key, [rule])
    else rules.push(rule)
  }

  find(method: string, path: string, misses: Set<string> | undefined): Rule | undefined {
    for (let end = this.#deepest(path); end >= 0; end = end === 0 ? -1 : path.lastIndexOf('/', end - 1)) {
      const rules = this.#rules.get(end === path.length ? path : path.slice(0, end))
      if (rules === undefined) continue
      for (const rule of rules) {
        const { methods } = rule.route
        if (methods === undefined || methods.includes(method)) return rule
        if (misses !== undefined) for (const method of methods) misses.add(method)
      }
    }
    return undefined
  }

  /** Where the longest beginning of a path ends that can be one of these: a path may have thousands of slashes. */
  #deepest(path: string): number {
    let end = 0
    for (let depth = 0; depth < this.#depth; depth++) {
      end = path.indexOf('/', end + 1)
      if (end < 0) return path.length
    }
    return end
  }
}
