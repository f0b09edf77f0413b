import fc from 'fast-check'
import { expect, it } from 'vitest'
import { scanJson } from './go-json.ts'

it('finds the end of whatever JSON there is', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom('', ' ', '}', ' {"a":1}'), (json, rest) => {
      // A number goes on as long as there are digits: nothing of what follows is one.
      expect(scanJson(json + rest)).toEqual({ end: json.length })
    }),
  )
})

it('agrees with JSON.parse on what is none', () => {
  const almost = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', '"', ',', '}', ']', ':', 'x', '\\', '-', 'n', '\n'))
    .map(([json, at, character]) => {
      const place = at % (json.length + 1)
      return json.slice(0, place) + character + json.slice(place + 1)
    })
  fc.assert(
    fc.property(almost, (text) => {
      const scan = scanJson(text)
      if ('problem' in scan) expect(() => JSON.parse(text)).toThrow()
      // Only escapes with too few digits are left to the parser.
      else if (!text.includes('\\u')) expect(() => JSON.parse(text.slice(0, scan.end))).not.toThrow()
    }),
    { numRuns: 2_000 },
  )
})

it.each([
  ['', 'EOF'],
  [' \n', 'EOF'],
  ['nonsense', "invalid character 'o' in literal null (expecting 'u')"],
  ['{"a":', 'unexpected EOF'],
  ['{"a" 1}', "invalid character '1' after object key"],
  ["{'a':1}", "invalid character '\\'' looking for beginning of object key string"],
  ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
  ['{"a":1 2}', "invalid character '2' after object key:value pair"],
  ['[1 2]', "invalid character '2' after array element"],
  ['[1,]', "invalid character ']' looking for beginning of value"],
  ['-x', "invalid character 'x' in numeric literal"],
  ['"\\q"', "invalid character 'q' in string escape code"],
  ['"a\nb"', "invalid character '\\n' in string literal"],
])('says of %j what Go says', (text, problem) => {
  expect(scanJson(text)).toEqual({ problem })
})
