/** Where the first JSON value of a text ends, or what Go's decoder says of it. */
export type Scan = { readonly end: number } | { readonly problem: string }

const number = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y
const literals: Readonly<Record<string, string>> = { n: 'null', t: 'true', f: 'false' }
const closers: Readonly<Record<string, string>> = { '{': '}', '[': ']' }

/** Reads no value, only its grammar, one character after the other: for the words of errors. */
export function scanJson(text: string): Scan {
  const open: string[] = []
  let expected: 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'comma' = 'value'
  for (let at = 0; at < text.length; ) {
    const character = text[at]!
    if (' \t\r\n'.includes(character)) {
      at++
      continue
    }
    const invalid = (where: string) => ({ problem: `invalid character ${quoted(character)} ${where}` })
    if (expected === 'colon') {
      if (character !== ':') return invalid('after object key')
      expected = 'value'
      at++
      continue
    }
    if (expected === 'comma') {
      const inside = open.at(-1)!
      if (character === closers[inside]) open.pop()
      else if (character === ',') expected = inside === '{' ? 'key' : 'value'
      else return invalid(inside === '{' ? 'after object key:value pair' : 'after array element')
      at++
      if (open.length === 0) return { end: at }
      continue
    }
    if (expected.endsWith('or end') && character === closers[open.at(-1)!]) {
      open.pop()
      at++
    } else if (expected.startsWith('key')) {
      if (character !== '"') return invalid('looking for beginning of object key string')
      const end = stringEnd(text, at)
      if (typeof end !== 'number') return end
      at = end
      expected = 'colon'
      continue
    } else if (character === '{' || character === '[') {
      open.push(character)
      expected = character === '{' ? 'key or end' : 'value or end'
      at++
      continue
    } else {
      const end = scalarEnd(text, at)
      if (typeof end !== 'number') return end
      at = end
    }
    if (open.length === 0) return { end: at }
    expected = 'comma'
  }
  return { problem: text.trim() === '' ? 'EOF' : 'unexpected EOF' }
}

function scalarEnd(text: string, start: number): number | { readonly problem: string } {
  const character = text[start]!
  if (character === '"') return stringEnd(text, start)
  const literal = literals[character]
  if (literal !== undefined) {
    for (let at = 1; at < literal.length; at++) {
      const next = text[start + at]
      if (next === undefined) return { problem: 'unexpected EOF' }
      if (next !== literal[at])
        return {
          problem: `invalid character ${quoted(next)} in literal ${literal} (expecting '${literal[at]}')`,
        }
    }
    return start + literal.length
  }
  number.lastIndex = start
  const found = number.exec(text)
  if (found !== null) return start + found[0].length
  if (character !== '-')
    return { problem: `invalid character ${quoted(character)} looking for beginning of value` }
  const next = text[start + 1]
  return {
    problem: next === undefined ? 'unexpected EOF' : `invalid character ${quoted(next)} in numeric literal`,
  }
}

function stringEnd(text: string, start: number): number | { readonly problem: string } {
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at]!
    if (character === '"') return at + 1
    if (character < ' ') return { problem: `invalid character ${quoted(character)} in string literal` }
    if (character !== '\\') continue
    const code = text[++at]
    if (code !== undefined && !'"\\/bfnrtu'.includes(code))
      return { problem: `invalid character ${quoted(code)} in string escape code` }
  }
  return { problem: 'unexpected EOF' }
}

/** A character as Go quotes it. */
function quoted(character: string): string {
  if (character === "'") return `'\\''`
  return `'${JSON.stringify(character).slice(1, -1).replace('\\"', '"')}'`
}
