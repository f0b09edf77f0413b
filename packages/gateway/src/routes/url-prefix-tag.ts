import { type Instance, type Route, route } from '@seamark/core'

export const urlPrefix = 'urlprefix-'

/** The paths that options work on. */
interface Paths {
  /** What the request's path begins with; `''` for the root. */
  readonly matched: string
  strip: string
  prepend: string
}

type Apply = (value: string, paths: Paths, instance: Instance) => void

const protocols: ReadonlyMap<string, string> = new Map([
  ['http', 'http'],
  ['ws', 'http'],
  ['https', 'https'],
  ['wss', 'https'],
])

/** Fabio's options. One that is not here would make the route another one than it says, and so there is none. */
const options: Readonly<Record<string, Apply>> = {
  strip: (value, paths) => {
    const prefix = withoutSlash(value)
    if (prefix !== paths.matched && !paths.matched.startsWith(`${prefix}/`))
      throw new Error(`strip=${value} is not what its path begins with`)
    paths.strip = prefix
  },
  prepend: (value, paths) => {
    paths.prepend = withoutSlash(value)
  },
  proto: (value, _, { scheme }) => {
    const spoken = protocols.get(value)
    if (spoken === undefined) throw new Error(`proto=${value} is nothing that this gateway speaks`)
    if (spoken !== scheme)
      throw new Error(`it says proto=${value}, and the scheme of the instance is ${scheme}`)
  },
  // How much an instance gets is what the instance's own weight says.
  weight: () => {},
}

/**
 * The route of a tag as Fabio reads it: `urlprefix-shop.example/tickets strip=/tickets`. Throws what is wrong with it, or what
 * of it this gateway cannot do.
 */
export function urlPrefixRoute(tag: string, instance: Instance): Route {
  const [target = '', ...words] = tag.slice(urlPrefix.length).trim().split(/\s+/)
  const slash = target.indexOf('/')
  if (target.startsWith(':') || words.includes('proto=tcp'))
    throw new Error('it is for TCP, and not for HTTP')
  if (slash < 0) throw new Error('there is no path in it: a host alone ends with "/"')
  const host = target.slice(0, slash)
  const path = target.slice(slash)
  const paths: Paths = { matched: withoutSlash(path), strip: '', prepend: '' }
  for (const word of words) {
    const equals = word.indexOf('=')
    const name = equals < 0 ? word : word.slice(0, equals)
    const apply = Object.hasOwn(options, name) ? options[name] : undefined
    if (apply === undefined) throw new Error(`this gateway does not know its option "${name}"`)
    apply(equals < 0 ? '' : word.slice(equals + 1), paths, instance)
  }
  const sent = paths.prepend + paths.matched.slice(paths.strip.length)
  return route('route', {
    path,
    ...(host !== '' && { host }),
    ...(sent !== paths.matched && { rewrite: sent || '/' }),
  })
}

function withoutSlash(path: string): string {
  return path.replace(/\/$/, '')
}
