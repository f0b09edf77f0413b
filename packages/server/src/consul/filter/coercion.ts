import { quote } from './quote.ts'

const integer =
  /^([+-]?)(0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)$/
const highest = 2n ** 63n

/** An integer as Go's `strconv.ParseInt` reads it, or the error it gives. */
export function parseInteger(text: string): number | Error {
  const [, sign, digits = ''] = integer.exec(text) ?? []
  if (sign === undefined) return problem('ParseInt', text, 'invalid syntax')
  const plain = digits.replaceAll('_', '')
  const size = BigInt(/^0[0-7]/.test(plain) ? `0o${plain.slice(1)}` : plain)
  const value = sign === '-' ? -size : size
  if (value >= highest || value < -highest) return problem('ParseInt', text, 'value out of range')
  return Number(value)
}

const booleans = new Map<string, boolean>([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text) => [text, false] as const),
])

/** A boolean as Go's `strconv.ParseBool` reads it, or the error it gives. */
export function parseBoolean(text: string): boolean | Error {
  return booleans.get(text) ?? problem('ParseBool', text, 'invalid syntax')
}

function problem(reader: string, text: string, what: string): Error {
  return new Error(`strconv.${reader}: parsing ${quote(text)}: ${what}`)
}
