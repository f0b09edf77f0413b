import { type Entry, healthy, invalidField, select } from '@seamark/core'
import type { Mismatch, Routes, Rule } from '../ports.ts'
import { forwardPath } from './forward-path.ts'
import { requestPath } from './request-path.ts'
import { routeTable } from './route-table.ts'

/** What becomes of a request, and why. */
export interface Explanation {
  readonly method: string
  readonly host: string
  /** As it is looked up and sent on; as it came, when it is refused. */
  readonly path: string
  /** All rules, in the order in which they are looked at, and whether each fits; none for a path that is refused. */
  readonly rules: readonly Verdict[]
  readonly outcome: Forwarded | Refused
}

export interface Verdict {
  readonly rule: Rule
  readonly fits: boolean
  readonly why: string
}

/** A rule is in force for it. */
export interface Forwarded {
  readonly rule: Rule
  /** What the instance is asked for, without the query. */
  readonly path: string
  /** Those that may get it; of these, some are a canary's. */
  readonly healthy: readonly Entry[]
  readonly all: readonly Entry[]
  readonly canary: { readonly share: number; readonly healthy: readonly Entry[] } | undefined
}

/** The gateway answers it itself. */
export interface Refused {
  readonly status: 400 | 404 | 405
  readonly why: string
  readonly allow: readonly string[] | undefined
}

/**
 * Says what a gateway with these routes does with a request, and why. The URL is absolute, or a path, for a request that names
 * no host. Throws `invalid_field` for what is neither.
 */
export function explanation(routes: Routes, method: string, url: string): Explanation {
  const [, authority = '', target] = /^(?:https?:\/\/([^/?#]+))?((?:[/?].*)?)$/i.exec(url) ?? []
  if (target === undefined || (authority === '' && target === ''))
    throw invalidField(
      'url',
      'must be a URL such as "http://shop.example/tickets/7", or a path such as "/tickets/7"',
    )
  if (!/^[A-Z][A-Z-]*$/.test(method)) throw invalidField('method', 'must be a method, such as GET')
  const host = authority.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
  const asked = target.startsWith('/') ? target : `/${target}`
  const read = requestPath(asked)
  const path = read?.path ?? asked.split('?', 1)[0]!
  if (read === undefined)
    return {
      method,
      host,
      path,
      rules: [],
      outcome: {
        status: 400,
        why: 'The path is none, or servers may read it as another one: it has hidden dot segments, a backslash, a "#" or a "%" that encodes nothing.',
        allow: undefined,
      },
    }
  const rules = routes.table.rules.map((rule) => verdict(rule, method, host, path))
  const found = routes.table.match(method, host, path)
  const outcome = 'service' in found ? forwarded(routes, found, path) : refused(found, rules)
  return { method, host, path, rules, outcome }
}

function verdict(rule: Rule, method: string, host: string, path: string): Verdict {
  const { route } = rule
  const { methods, host: wanted, path: prefix } = route
  const fits = (one: Partial<Rule['route']>) => {
    const rules = [{ rule: { ...rule, route: { path: '/', ...one } }, source: 'file' as const, age: 0 }]
    return 'service' in routeTable(rules).match(method, host, path)
  }
  if (wanted !== undefined && !fits({ host: wanted }))
    return {
      rule,
      fits: false,
      why: `the host is not ${wanted.startsWith('*.') ? `below ${wanted.slice(2)}` : wanted}`,
    }
  if (!fits({ path: prefix })) return { rule, fits: false, why: `the path does not begin with ${prefix}` }
  if (methods !== undefined && !methods.includes(method))
    return { rule, fits: false, why: `the method is none of ${methods.join(', ')}` }
  return { rule, fits: true, why: 'fits' }
}

function forwarded(routes: Routes, rule: Rule, path: string): Forwarded {
  const { entries } = routes.snapshot(rule)
  const { canary } = rule.policy
  return {
    rule,
    path: forwardPath(rule.route, path),
    healthy: healthy(entries),
    all: entries,
    canary: canary && { share: canary.share, healthy: healthy(select(entries, canary.select)) },
  }
}

function refused({ allow }: Mismatch, rules: readonly Verdict[]): Refused {
  if (allow !== undefined)
    return { status: 405, why: `Rules fit, but for other methods: ${allow.join(', ')}.`, allow }
  if (rules.some(({ fits }) => fits))
    return {
      status: 404,
      why: 'A rule fits, but servers that decode "%2f", merge "//" or cut off ";" would read a path that it does not fit.',
      allow,
    }
  return { status: 404, why: rules.length === 0 ? 'There are no rules.' : 'No rule fits.', allow }
}
