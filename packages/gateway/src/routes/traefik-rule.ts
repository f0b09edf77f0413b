/** Requests that a rule of Traefik is for: what is not there may be anything. */
export interface Clause {
  readonly host?: string
  readonly path?: string
  readonly methods?: readonly string[]
}

type Read = (values: readonly string[]) => readonly Clause[]

const matchers: Readonly<Record<string, Read>> = {
  host: (values) =>
    values.map((host) => {
      if (host.includes('*'))
        throw new Error(`${host} is for hosts of one level below, or of several: "*" is not read here`)
      return { host: host.toLowerCase() }
    }),
  pathprefix: (values) => values.map((path) => ({ path: path === '/' ? path : path.replace(/\/$/, '') })),
  method: (values) => [{ methods: values }],
}

/** Clauses that one rule may come to. */
const most = 32

const token = /\s*(?:(&&|\|\||[()!,])|([A-Za-z]+)|`([^`]*)`|"((?:[^"\\]|\\.)*)")/y

/**
 * The clauses of a rule such as ``Host(`shop.example`) && (PathPrefix(`/tickets`) || PathPrefix(`/seats`))``: a request that
 * fits one of them is meant. Throws what is wrong with it, or what of it cannot be said by hosts, paths and methods.
 */
export function traefikRule(rule: string): readonly Clause[] {
  const tokens = tokenize(rule)
  let at = 0
  const clauses = alternatives()
  if (at < tokens.length) throw new Error(`"${text(tokens[at]!)}" is not expected there`)
  if (clauses.length === 0) throw new Error('no request can fit it')
  return clauses

  function alternatives(): readonly Clause[] {
    const found = [...conjunction()]
    while (takes('||')) found.push(...conjunction())
    return bounded(found)
  }

  function conjunction(): readonly Clause[] {
    let found = term()
    while (takes('&&')) {
      const others = term()
      found = bounded(found.flatMap((one) => others.flatMap((other) => both(one, other))))
    }
    return found
  }

  function term(): readonly Clause[] {
    if (takes('(')) {
      const found = alternatives()
      expect(')')
      return found
    }
    const next = tokens[at++]
    if (next?.type === 'sign' && next.text === '!') throw new Error('"!" is not read here')
    if (next?.type !== 'name') throw new Error(`a matcher, such as PathPrefix, is missing ${where(next)}`)
    const name = next.text.toLowerCase()
    const matcher = Object.hasOwn(matchers, name) ? matchers[name] : undefined
    if (matcher === undefined)
      throw new Error(`${next.text} is not read here, but Host, PathPrefix and Method`)
    expect('(')
    const values: string[] = []
    do {
      const value = tokens[at++]
      if (value?.type !== 'value' || value.text === '')
        throw new Error(`${next.text} needs a value in backticks ${where(value)}`)
      values.push(value.text)
    } while (takes(','))
    expect(')')
    return matcher(values)
  }

  function takes(sign: string): boolean {
    const next = tokens[at]
    if (next?.type !== 'sign' || next.text !== sign) return false
    at++
    return true
  }

  function expect(sign: string): void {
    if (!takes(sign)) throw new Error(`"${sign}" is missing ${where(tokens[at])}`)
  }
}

interface Token {
  readonly type: 'sign' | 'name' | 'value'
  readonly text: string
}

function tokenize(rule: string): readonly Token[] {
  const tokens: Token[] = []
  const end = rule.trimEnd().length
  token.lastIndex = 0
  while (token.lastIndex < end) {
    const start = token.lastIndex
    const [, sign, name, raw, quoted] = token.exec(rule) ?? []
    if (sign !== undefined) tokens.push({ type: 'sign', text: sign })
    else if (name !== undefined) tokens.push({ type: 'name', text: name })
    else if (raw !== undefined) tokens.push({ type: 'value', text: raw })
    else if (quoted !== undefined) tokens.push({ type: 'value', text: quoted.replace(/\\(.)/g, '$1') })
    else throw new Error(`"${rule.slice(start).trim()}" cannot be read`)
  }
  return tokens
}

/** What fits both, if anything can. */
function both(a: Clause, b: Clause): readonly Clause[] {
  const host = a.host ?? b.host
  if (host !== (b.host ?? host)) return []
  const path = longer(a.path, b.path)
  const methods =
    a.methods && b.methods ? a.methods.filter((one) => b.methods!.includes(one)) : (a.methods ?? b.methods)
  if (path === 'neither' || methods?.length === 0) return []
  return [
    {
      ...(host !== undefined && { host }),
      ...(path !== undefined && { path }),
      ...(methods !== undefined && { methods }),
    },
  ]
}

function longer(a: string | undefined, b: string | undefined): string | undefined | 'neither' {
  if (a === undefined || b === undefined) return a ?? b
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  return short === '/' || long === short || long.startsWith(`${short}/`) ? long : 'neither'
}

function bounded(clauses: readonly Clause[]): readonly Clause[] {
  if (clauses.length > most) throw new Error(`it comes to more than ${most} routes`)
  return clauses
}

function where(found: Token | undefined): string {
  return found === undefined ? 'at its end' : `before "${text(found)}"`
}

function text({ text }: Token): string {
  return text
}
