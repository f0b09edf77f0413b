import { type Instance, type Route, route } from '@seamark/core'
import { type Clause, traefikRule } from './traefik-rule.ts'

export const traefik = 'traefik.'

/** What one router of the tags came to. */
export interface TraefikRouter {
  /** The tag with its rule, or that kept it from being one. */
  readonly tag: string
  /** Or what is wrong with it, or what of it this gateway cannot do. */
  readonly routes: readonly Route[] | Error
}

interface Setting {
  readonly tag: string
  readonly value: string
}

/** Names of Traefik's usual entry points for everybody. Another one may be for some: such routes are not for this gateway. */
const publicEntryPoints: ReadonlySet<string> = new Set(['web', 'websecure', 'http', 'https'])

/** What may stand beside a rule: whatever else it says would make it another one. */
const harmless: Readonly<Record<string, (value: string) => boolean>> = {
  rule: () => true,
  priority: () => true,
  entrypoints: (value) => value.split(',').every((name) => publicEntryPoints.has(name.trim())),
  // Where TLS ends is the gateway's to know.
  tls: () => true,
  'tls.certresolver': () => true,
  rulesyntax: (value) => value === 'default' || value === 'v3' || value === 'v2',
}

/** The routes of an instance's tags as Traefik reads them: `traefik.http.routers.<name>.rule=…`. */
export function traefikRouters(instance: Instance): readonly TraefikRouter[] {
  const routers = new Map<string, Map<string, Setting>>()
  let elsewhere: string | undefined
  for (const tag of instance.tags) {
    if (!tag.startsWith(traefik)) continue
    const equals = tag.indexOf('=')
    const key = (equals < 0 ? tag : tag.slice(0, equals)).toLowerCase()
    const value = equals < 0 ? '' : tag.slice(equals + 1).trim()
    if (key === 'traefik.enable' && value.toLowerCase() === 'false') return []
    const [, name, option] = /^traefik\.http\.routers\.([^.]+)\.(.+)$/.exec(key) ?? []
    if (name !== undefined && option !== undefined) {
      const settings = routers.get(name) ?? new Map<string, Setting>()
      routers.set(name, settings.set(option, { tag, value }))
    }
    if (leadsElsewhere(key, value, instance)) elsewhere = tag
  }
  return [...routers.values()].flatMap((settings) => router(settings, elsewhere))
}

/** Traefik's load balancer may be told another port or scheme than the instance's: there, it would not be this instance. */
function leadsElsewhere(key: string, value: string, { port, scheme }: Instance): boolean {
  const [, option] = /^traefik\.http\.services\.[^.]+\.loadbalancer\.server\.(.+)$/.exec(key) ?? []
  return (option === 'port' && value !== String(port)) || (option === 'scheme' && value !== scheme)
}

function router(
  settings: ReadonlyMap<string, Setting>,
  elsewhere: string | undefined,
): readonly TraefikRouter[] {
  const rule = settings.get('rule')
  // Traefik would make a rule of the service's name: what nobody said, nobody is shown.
  if (rule === undefined) return []
  try {
    for (const [option, { value }] of settings)
      if (!Object.hasOwn(harmless, option) || !harmless[option]!(value))
        throw new Error(`this gateway does not know its option "${option}" with "${value}"`)
    if (elsewhere !== undefined) throw new Error(`"${elsewhere}" leads elsewhere than to the instance`)
    const priority = lift(rule.value, settings.get('priority'))
    return [{ tag: rule.tag, routes: traefikRule(rule.value).map((clause) => routeOf(clause, priority)) }]
  } catch (error) {
    return [{ tag: rule.tag, routes: error as Error }]
  }
}

function routeOf(clause: Clause, priority: number): Route {
  return route('route', { ...clause, ...(priority !== 0 && { priority }) })
}

/**
 * Without a priority, Traefik takes the length of the rule for it. So what a priority says is how much it is above that, or
 * below.
 */
function lift(rule: string, priority: Setting | undefined): number {
  if (priority === undefined || priority.value === '0') return 0
  if (!/^-?\d{1,15}$/.test(priority.value)) throw new Error(`its priority "${priority.value}" is no number`)
  return Math.max(-1_000, Math.min(1_000, Number(priority.value) - rule.length))
}
