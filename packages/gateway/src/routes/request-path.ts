/** The target of a request, taken apart. */
export interface RequestPath {
  /** Without dot segments; what is percent-encoded is as it came. */
  readonly path: string
  /** As it came, with its "?"; or empty. */
  readonly query: string
}

/** What is looked at twice: dots and backslashes that begin a segment or end one, and what is percent-encoded. */
const conspicuous = /[%\\]|\/\./
/** No request target holds them (RFC 9112, 3.2): blanks, controls, fragments, and what is no byte. */
const foreign = /[^\u0021-\u00ff]|[\u007f#]/
const encodedByte = /%(?![0-9a-f]{2})|%00/i
const encodedSeparators = /%(2e|2f|3b|5c)/gi
const decodedSeparators: Readonly<Record<string, string>> = { '2e': '.', '2f': '/', '3b': ';', '5c': '\\' }

/**
 * Takes the target of a request apart, and removes dot segments (RFC 3986, 5.2.4), so that what is matched is what is sent on.
 * `undefined` for what is no path, and for a path that a server behind may read as another one: with dot segments that are
 * hidden (`%2e%2e/`, `..%2f`, `..;/`), backslashes, NUL, or a percent sign that encodes nothing.
 */
export function requestPath(target: string): RequestPath | undefined {
  if (target.charCodeAt(0) !== slash || foreign.test(target)) return undefined
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? '' : target.slice(mark)
  if (!conspicuous.test(path) && !path.includes(';')) return { path, query }
  if (path.includes('\\') || encodedByte.test(path)) return undefined
  const segments = path.slice(1).split('/')
  if (segments.some(hidesDots)) return undefined
  return { path: withoutDots(segments), query }
}

const slash = 47

/** Servers decode first and split then, or cut `;parameters` off a segment. */
function hidesDots(segment: string): boolean {
  if (isDots(segment) || !/[%;]/.test(segment)) return false
  return segment
    .replace(encodedSeparators, (_, digits: string) => decodedSeparators[digits.toLowerCase()]!)
    .split(/[/\\]/)
    .some((part) => isDots(part.split(';', 1)[0]!))
}

function isDots(segment: string): boolean {
  return segment === '.' || segment === '..'
}

function withoutDots(segments: readonly string[]): string {
  const kept: string[] = []
  for (const segment of segments)
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  if (isDots(segments.at(-1)!)) kept.push('')
  return `/${kept.join('/')}`
}

/**
 * A path as all of its spellings are compared (RFC 3986, 6.2.2): unreserved characters as they are, others encoded with
 * digits in upper case, and so are bytes beyond ASCII.
 */
export function comparable(path: string): string {
  if (!/[%\u0080-\u00ff]/.test(path)) return path
  return path.replace(/%[0-9a-f]{2}|[\u0080-\u00ff]/gi, (text) => {
    if (text.length === 1) return encoded(text.charCodeAt(0))
    const code = Number.parseInt(text.slice(1), 16)
    const character = String.fromCharCode(code)
    return /[\w.~-]/.test(character) ? character : encoded(code)
  })
}

function encoded(code: number): string {
  return `%${code.toString(16).toUpperCase().padStart(2, '0')}`
}

const readDifferently = /%2f|%3b|%5c|;|\/\//i

/**
 * A path as the most lenient of servers reads it: encoded separators are separators, several of them are one, and
 * `;parameters` are cut off. The path itself when it has none of these.
 */
export function lenient(path: string): string {
  if (!readDifferently.test(path)) return path
  return path
    .replace(/%2f|%5c/gi, '/')
    .replace(/(?:;|%3b)[^/]*/gi, '')
    .replace(/\/{2,}/g, '/')
}
