const named: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
}

/** Text in double quotes as Go prints it with `%q`: Consul's errors carry what was asked in this form. */
export function quote(text: string): string {
  return `"${text.replace(/["\\]|[\p{C}\p{Z}]/gu, (character) => (character === ' ' ? ' ' : (named[character] ?? escaped(character))))}"`
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!
  if (code < 0x80) return `\\x${hex(code, 2)}`
  return code < 0x1_0000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0')
}

const escapes: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
}

/** The text that a quoted literal of Go stands for; `undefined` when it is none. */
export function unquote(literal: string): string | undefined {
  const inside = literal.slice(1, -1)
  if (literal[0] === '`') return inside.replaceAll('\r', '')
  if (/[\n"]/.test(inside)) return undefined
  const parts: Buffer[] = []
  const piece =
    /([^\\]+)|\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/y
  while (piece.lastIndex < inside.length) {
    const [, plain, name, byte, octal, short, long] = piece.exec(inside) ?? []
    const code = Number.parseInt(short ?? long ?? '', 16)
    if (plain !== undefined) parts.push(Buffer.from(plain))
    else if (name !== undefined) parts.push(Buffer.from(escapes[name]!))
    else if (byte !== undefined) parts.push(Buffer.of(Number.parseInt(byte, 16)))
    else if (octal !== undefined) parts.push(Buffer.of(Number.parseInt(octal, 8)))
    else if (code <= 0x10_ffff && !(code >= 0xd800 && code < 0xe000))
      parts.push(Buffer.from(String.fromCodePoint(code)))
    else return undefined
  }
  return Buffer.concat(parts).toString()
}
