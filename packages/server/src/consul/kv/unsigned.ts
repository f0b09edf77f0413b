import { quote } from '../filter/quote.ts'

const highest = 2n ** 64n - 1n

/** 64 bits without a sign, as Go's `strconv.ParseUint` reads them. Throws an `Error` in Go's words. */
export function parseUnsigned(text: string): bigint {
  if (!/^\d+$/.test(text)) throw new Error(`strconv.ParseUint: parsing ${quote(text)}: invalid syntax`)
  // 20 digits are as many as 64 bits can have; zeros before them do not matter.
  const digits = text.replace(/^0+(?=\d)/, '')
  const value = digits.length > 20 ? highest + 1n : BigInt(digits)
  if (value > highest) throw new Error(`strconv.ParseUint: parsing ${quote(text)}: value out of range`)
  return value
}

/** Before digits in a string: text that people write holds no control characters where this is used. */
const mark = '\u0000'

/** Such a number in what will become JSON: what a double does not hold exactly travels as a marked string until `withUnsigned`. */
export function unsignedJson(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : mark + value
}

/** JSON in which the marked strings are numbers. */
export function withUnsigned(json: string): string {
  return json.replace(/"\\u0000(\d+)"/g, '$1')
}

/** JSON in which integers that a double does not hold exactly are marked strings, to be read by `readUnsigned`. */
export function markUnsigned(json: string): string {
  return json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+-])\d{16,}(?![\d.eE])/gs, (token) =>
    token.startsWith('"') ? token : `"\\u0000${token}"`,
  )
}

/** `undefined`: it is no such number. */
export function readUnsigned(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? BigInt(value) : undefined
  if (typeof value !== 'string' || !value.startsWith(mark)) return undefined
  const number = BigInt(value.slice(mark.length))
  return number <= highest ? number : undefined
}
