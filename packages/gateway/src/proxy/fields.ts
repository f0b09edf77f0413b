/**
 * Header fields, as names and values in turn. All that is read here is latin1: one character for each byte.
 */
export type Fields = string[]

/** RFC 9110, 5.1 and 5.5: tokens, and anything but control characters, each on a line of its own. */
const lines = /(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n/y

/**
 * Reads the fields that begin at `start`, and the empty line after them, which is to be the end of the text. `undefined` if they are
 * not exactly as RFC 9112 wants them: no folded lines, no whitespace before colons, no line feeds alone.
 */
export function readFields(text: string, start: number, most: number): Fields | undefined {
  lines.lastIndex = start
  if (!lines.test(text) || lines.lastIndex !== text.length) return undefined
  const fields: Fields = []
  for (let at = start; text.charCodeAt(at) !== 13; ) {
    if (fields.length === most * 2) return undefined
    const colon = text.indexOf(':', at)
    const end = text.indexOf('\r\n', colon)
    fields.push(text.slice(at, colon), value(text, colon + 1, end))
    at = end + 2
  }
  return fields
}

function value(text: string, start: number, end: number): string {
  let from = start
  let to = end
  while (from < to && isSpace(text.charCodeAt(from))) from++
  while (to > from && isSpace(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9
}

/** The items of a list, in lower case: RFC 9110, 5.6.1. */
export function items(list: string): readonly string[] {
  return list
    .toLowerCase()
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** The fields as they are written. */
export function fieldLines(fields: readonly string[]): string {
  let text = ''
  for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`
  return text
}
