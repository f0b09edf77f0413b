/**
 * A name as one segment of a key: as it is, but for what would end the segment, be taken for an escape, or hide what only
 * Seamark writes (a dot at the beginning).
 */
export function segment(name: string): string {
  return name.replace(/[%/]|^\./g, (character) => escapes[character]!)
}

/** The name that a segment stands for; `undefined` if `segment` would write it in another way. */
export function nameOf(text: string): string | undefined {
  const name = text.replace(/%2F|%25|^%2E/g, decodeURIComponent)
  return name !== '' && segment(name) === text ? name : undefined
}

const escapes: Readonly<Record<string, string>> = { '%': '%25', '/': '%2F', '.': '%2E' }
