import { displayName, type Instance, type Route } from '@seamark/core'
import { comparable } from './request-path.ts'
import { traefik, traefikRouters } from './traefik-tags.ts'
import { urlPrefix, urlPrefixRoute } from './url-prefix-tag.ts'

/** A route that an instance says. */
export interface Statement {
  readonly route: Route
  readonly origin: string
  /** The same for statements that one rule stands for: of the same requests, sent on to the same path. */
  readonly key: string
  /** The same for statements that are the same in all. */
  readonly text: string
}

/** All that an instance says of its routes. */
export interface Statements {
  readonly routes: readonly Statement[]
  /** Tags that are meant as routes, and are none. */
  readonly problems: readonly StatementProblem[]
}

export interface StatementProblem {
  /** The tag, or where else it stands. */
  readonly statement: string
  readonly problem: string
}

const none: Statements = Object.freeze({ routes: Object.freeze([]), problems: Object.freeze([]) })

const read = new WeakMap<Instance, Statements>()

/** What an instance says of its routes: its own route before those of its tags. */
export function statements(instance: Instance): Statements {
  if (instance.route === undefined && !instance.tags.some(isAboutRoutes)) return none
  let found = read.get(instance)
  if (found === undefined) {
    found = readAll(instance)
    read.set(instance, found)
  }
  return found
}

function isAboutRoutes(tag: string): boolean {
  return tag.startsWith(urlPrefix) || tag.startsWith(traefik)
}

function readAll(instance: Instance): Statements {
  const { namespace, service, scheme, route, tags } = instance
  const name = displayName({ namespace, service })
  const routes = new Map<string, Statement>()
  const problems: StatementProblem[] = []
  const say = (origin: string, route: Route) => {
    if (!speaksHttp(instance)) throw new Error(`the scheme of the instance is ${scheme}`)
    const one = statement(origin, route)
    // Said twice, the first counts: what is said in our own words, before what is said in those of others.
    if (!routes.has(one.key)) routes.set(one.key, one)
  }
  const attempt = (statement: string, read: () => void) => {
    try {
      read()
    } catch (error) {
      problems.push({ statement, problem: (error as Error).message })
    }
  }
  if (route !== undefined) attempt('its route', () => say(`instances of ${name}`, route))
  for (const tag of tags)
    if (tag.startsWith(urlPrefix))
      attempt(`tag ${tag}`, () => say(`tag ${tag} of ${name}`, urlPrefixRoute(tag, instance)))
  for (const { tag, routes } of traefikRouters(instance))
    attempt(`tag ${tag}`, () => {
      if (routes instanceof Error) throw routes
      for (const route of routes) say(`tag ${tag} of ${name}`, route)
    })
  return Object.freeze({ routes: Object.freeze([...routes.values()]), problems: Object.freeze(problems) })
}

function statement(origin: string, route: Route): Statement {
  return Object.freeze({
    route,
    origin,
    key: statementKey(route),
    text: JSON.stringify([route, origin]),
  })
}

/** What statements have in common that one rule stands for. */
export function statementKey({ host = '', path, methods, priority = 0, rewrite = '' }: Route): string {
  const asked = methods === undefined ? '' : [...methods].sort().join()
  return [host, comparable(path), asked, priority, rewrite].join('\n')
}

/** Whether a gateway can send requests there. */
export function speaksHttp({ scheme }: Instance): boolean {
  return scheme === 'http' || scheme === 'https'
}
