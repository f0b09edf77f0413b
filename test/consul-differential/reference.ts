import { readFileSync } from 'node:fs'

/** `docs/reference/consul-api.md`. */
const page = readFileSync(new URL('../../docs/reference/consul-api.md', import.meta.url), 'utf8')

/** The cells of a table's rows, without its head. */
function table(heading: string): readonly string[][] {
  const section = page.split(/^## /m).find((text) => text.startsWith(heading))
  if (section === undefined) throw new Error(`The reference has no section "${heading}"`)
  return section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

export interface DocumentedEndpoint {
  /** Such as `/v1/catalog/node/:node`. */
  readonly path: string
  readonly methods: readonly string[]
  /** Whether this is the path of a call. */
  readonly takes: (path: string) => boolean
}

export const documentedEndpoints: readonly DocumentedEndpoint[] = table('Endpoints').map(
  ([path = '', methods = '']) => {
    const plain = path.replaceAll('`', '')
    const pattern = plain.replace(/(?::\w+|…)$/, '.*').replaceAll(/:\w+/g, '[^/]*')
    const whole = new RegExp(`^${pattern}$`)
    return { path: plain, methods: methods.split(', '), takes: (asked) => whole.test(asked) }
  },
)

export const documentedDifferences = table('Where it differs on purpose').map(([name, reason]) => ({
  name,
  reason,
}))
