import { createHash } from 'node:crypto'
import { type ClaimKey, defaultNamespace, type InstanceKey, type ServiceKey } from '@seamark/core'

// What ZooKeeper refuses in the name of a node (PathUtils.validatePath), with the surrogates that four-byte characters
// are made of, and what would make a path of a name, or look like an escape.
const unsafe =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are among it
  /[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff%/]+/g

/** A name as a node is called: ordinary names stay as they are, as Curator writes them. */
export function escaped(name: string): string {
  if (name === '.' || name === '..') return name.replaceAll('.', '%2E')
  return name.replace(unsafe, percent)
}

/** The name that a node was called after; `undefined` for what `escaped` never makes. */
export function unescaped(node: string): string | undefined {
  if (!node.includes('%')) return node
  try {
    const name = decodeURIComponent(node)
    return escaped(name) === node ? name : undefined
  } catch {
    return undefined
  }
}

function percent(text: string): string {
  return Buffer.from(text)
    .toString('hex')
    .toUpperCase()
    .replace(/../g, (byte) => `%${byte}`)
}

/** Parts as the name of one node. */
function joined(...parts: string[]): string {
  return parts.map((part) => escaped(part).replaceAll('!', '%21')).join('!')
}

/** Part of an item's key as a node is called; nodes have no empty names. */
function escapedPart(part: string): string {
  return part === '' ? '%' : escaped(part)
}

/** The part of an item's key that a node was called after; `undefined` for what no part is called. */
export function itemPart(node: string): string | undefined {
  return node === '%' ? '' : unescaped(node)
}

/** Where everything of one registry is. */
export interface Paths {
  /** The services of the default namespace, as Curator keeps them. */
  readonly base: string
  /** The other namespaces: each is a base path for Curator. */
  readonly namespaces: string
  readonly leases: string
  /** Written to learn the server's time. */
  readonly clock: string
  namespace(namespace: string): string
  service(key: ServiceKey): string
  instance(key: InstanceKey): string
  /** What Curator knows nothing of: the lease, the health and the claims of an instance. */
  state(key: InstanceKey): string
  lease(digest: string): string
  claim(key: ClaimKey): string
  /** Has a node for each directory of items: what their keys have up to the last slash. */
  readonly items: string
  /** Of a node that says how often an item was removed, of those that share it: see `item-writing.ts`. */
  itemGuard(key: string): string
  item(key: string): string
}

export function paths(base: string): Paths {
  // Beside Curator's tree, where it sees no service in it.
  const root = `${base}-seamark`
  const namespaces = `${root}/namespaces`
  const leases = `${root}/leases`
  const items = `${root}/items`
  const namespace = (name: string) => (name === defaultNamespace ? base : `${namespaces}/${escaped(name)}`)
  const service = (key: ServiceKey) => `${namespace(key.namespace)}/${escaped(key.service)}`
  return {
    base,
    namespaces,
    leases,
    clock: `${root}/clock`,
    namespace,
    service,
    instance: (key) => `${service(key)}/${escaped(key.id)}`,
    state: ({ namespace, service, id }) => `${root}/state/${joined(namespace, service, id)}`,
    lease: (digest) => `${leases}/${digest}`,
    claim: ({ namespace, service, name }) => `${root}/claims/${joined(namespace, service, name)}`,
    items,
    itemGuard: (key) => `${root}/item-guards/${createHash('sha256').update(key).digest('hex').slice(0, 2)}`,
    item: (key) => {
      const end = key.lastIndexOf('/') + 1
      return `${items}/${escapedPart(key.slice(0, end))}/${escapedPart(key.slice(end))}`
    },
  }
}

/** What a lease's node is called: whoever can read the nodes does not learn the token. */
export function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
