/** The authority that a request is for. */
export interface Authority {
  /** As it came. */
  readonly authority: string
  /** In lower case, without a port, and without the dot at the end. */
  readonly host: string
}

/** RFC 9112, 3.2 and RFC 3986, 3.2.2: a name, an IPv4 address or an IPv6 one in brackets, and perhaps a port. */
const pattern = /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,253})(?::\d{0,5})?$/
const remembered = 1_024
const known = new Map<string, Authority>()

/** `undefined` for what is no host. */
export function authority(text: string): Authority | undefined {
  let found = known.get(text)
  if (found === undefined) {
    const name = pattern.exec(text)?.[1]
    if (name === undefined) return undefined
    found = { authority: text, host: name.toLowerCase().replace(/\.$/, '') }
    if (known.size >= remembered) known.clear()
    known.set(text, found)
  }
  return found
}
