import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConsulError } from '../answer.ts'
import { filterFor } from './filter.ts'
import { filterError } from './filter-error.ts'
import { shapes } from './shape.ts'

const health = {
  Node: { ID: 'a1', Node: 'n1', Address: '10.0.0.1', Datacenter: 'dc1', Meta: { env: 'dev' } },
  Service: {
    ID: 'web-1',
    Service: 'web',
    Tags: ['v1', 'blue'],
    Meta: { version: '1.8.7', 'a key': 'x', toString: 'own' },
    Port: 8080,
    Weights: { Passing: 1, Warning: 1 },
    EnableTagOverride: false,
    TaggedAddresses: { lan: { Address: '10.0.0.1', Port: 8080 } },
    Proxy: { MeshGateway: {}, Expose: {} },
  },
  Checks: [
    { CheckID: 'serfHealth', Status: 'passing', ServiceTags: [] },
    { CheckID: 'service:web-1', Status: 'warning', ServiceTags: ['v1'] },
  ],
}

function holds(expression: string): boolean {
  return filterFor(expression, shapes.serviceHealth)(health)
}

describe('a filter', () => {
  it.each([
    ['Service.ID == "web-1"', true],
    ['Service.ID==`web-1`', true],
    ['Service.Service != web', false],
    ['Service.Service contains "e"', true],
    ['eb in Service.Service', true],
    ['Service.Tags contains v1', true],
    ['"v2" not in Service.Tags', true],
    ['Service.Tags is empty', false],
    ['Service.Tags is  not\nempty', true],
    ['Service.Proxy.Upstreams is empty', true],
    ['Service.Meta.version == "1.8.7"', true],
    ['Service.Meta["a key"] == x', true],
    ['version in Service.Meta', true],
    ['Service.Meta.version matches `^1\\.8\\.\\d$`', true],
    ['Service.ID not matches "^w"', false],
    ['Service.Port == 8080', true],
    ['Service.Port == "0x1F90"', true],
    ['Service.EnableTagOverride == F', true],
    ['Service.Connect.Native == false', true],
    ['Service.TaggedAddresses.lan.Port == 8080', true],
    ['Node.Meta.env == dev and Service.Weights.Passing == 1', true],
    ['not Service.ID == x', true],
    ['not not Service.ID == x', false],
    ['Service.ID == x or Service.Service == web and Service.ID == x', false],
    ['(Service.ID == x or Service.Service == web) and (Service.Port == 8080)', true],
  ])('answers %s with %s', (expression, expected) => {
    expect(holds(expression)).toBe(expected)
  })

  it('lets everything through when it is empty', () => {
    expect(filterFor('', shapes.node)(undefined)).toBe(true)
  })

  it('holds of a list when it holds of any element', () => {
    expect(holds('Checks.Status == warning')).toBe(true)
    expect(holds('Checks.Status == passing')).toBe(true)
    expect(holds('Checks.Status == critical')).toBe(false)
    expect(holds('Checks.ServiceTags contains v1')).toBe(true)
    expect(filterFor('Checks.Status != passing', shapes.serviceHealth)({ Checks: [] })).toBe(false)
  })

  it('takes what a map has no entry for as unequal, in nothing, empty, and matching, as Consul does', () => {
    expect(holds('Service.Meta.none == x')).toBe(false)
    expect(holds('Service.Meta.none != x')).toBe(true)
    expect(holds('Service.Meta.none contains x')).toBe(false)
    expect(holds('Service.Meta.none matches x')).toBe(true)
    expect(holds('Service.Meta.none not matches x')).toBe(true)
    expect(holds('Service.Meta.constructor == x')).toBe(false)
    expect(holds('Service.Meta.toString == own')).toBe(true)
  })

  it('takes fields that were left out as empty', () => {
    const none = filterFor('Kind == "" and Port == 0 and Tags is empty and Meta is empty', shapes.service)
    expect(none({})).toBe(true)
    expect(none({ Tags: null, Meta: null })).toBe(true)
  })

  // Recorded from Consul 1.8.7.
  it.each([
    ['Foo == bar', 'Selector "Foo" is not valid'],
    ['Service.Meta.a.b == 1', 'Selector "Service.Meta.a.b" is not valid'],
    [
      'Service ==',
      '1:11 (10): no match found, expected: "-", "0", "\\"", "`", [ \\t\\r\\n], [1-9] or [a-zA-Z]',
    ],
    ['Service.ID', '1:11 (10): no match found, expected: "!=", ".", "==", "[", [ \\t\\r\\n] or [a-zA-Z0-9_]'],
    [
      'Service.Port == abc',
      'Failed to coerce value "abc" for selector "Service.Port": strconv.ParseInt: parsing "abc": invalid syntax',
    ],
    [
      'Service.Port == 99999999999999999999',
      'Failed to coerce value "99999999999999999999" for selector "Service.Port": strconv.ParseInt: parsing "99999999999999999999": value out of range',
    ],
    ['Service.Port == 0x1F', '1:18 (17): rule "number": Invalid number literal'],
    [
      'Service.EnableTagOverride == maybe',
      'Failed to coerce value "maybe" for selector "Service.EnableTagOverride": strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    ['Service.Tags == a', 'Invalid match operator "Equal" for selector "Service.Tags"'],
    ['Service.ID is not empty', 'Invalid match operator "Is Not Empty" for selector "Service.ID"'],
    ['(Service.ID == a', '1:17 (16): rule "grouping": Unmatched parentheses'],
    ['Service.ID == a)', '1:16 (15): no match found, expected: ".", "[", [ \\t\\r\\n], [a-zA-Z0-9_] or EOF'],
    ['Service.ID == "a', '1:17 (16): rule "string": Unterminated string literal'],
    ['Service.ID == "a\\q"', '1:15 (14): rule "string": invalid syntax'],
    ['Service.Meta[a] == b', '1:14 (13): rule "index": Invalid index'],
    ['Service.Meta["a" == b', '1:18 (17): rule "index": Unclosed index expression'],
    [
      'Service.Meta["a',
      '1:16 (15): rule "string": Unterminated string literal\n1:14 (13): rule "index": Invalid index',
    ],
    ['a in 1', '1:6 (5): rule "match": Invalid selector'],
    ['Service.ID == "é" @', '1:19 (19): no match found, expected: "and", "or", [ \\t\\r\\n] or EOF'],
    ['Service.ID == a\n@', '2:1 (16): no match found, expected: "and", "or", [ \\t\\r\\n] or EOF'],
    ['Service.ID == a and', '1:20 (19): no match found, expected: [ \\t\\r\\n]'],
    [
      'Service.ID matches "("',
      'Failed to compile regular expression "(": error parsing regexp: missing closing ): `(`',
    ],
    [
      'Service.ID matches "(?=a)"',
      'Failed to compile regular expression "(?=a)": error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
    ],
    [
      'Service.ID matches `\\1`',
      'Failed to compile regular expression "\\\\1": error parsing regexp: invalid escape sequence: `\\1`',
    ],
    [
      'Service.ID matches `a\\`',
      'Failed to compile regular expression "a\\\\": error parsing regexp: trailing backslash at end of expression: ``',
    ],
  ])('refuses %j in the words of Consul', (expression, problem) => {
    expect(() => holds(expression)).toThrow(filterError(problem))
  })

  it('refuses what is too long or too deep', () => {
    expect(() => holds(`Service.ID == ${'a'.repeat(8_192)}`)).toThrow('at most 8192 characters')
    expect(() => holds(`${'('.repeat(101)}Service.ID == a${')'.repeat(101)}`)).toThrow('at most 100 levels')
    expect(holds(`${'('.repeat(100)}Service.ID == a${')'.repeat(100)}`)).toBe(false)
    expect(holds(Array(400).fill('Service.ID == a').join(' and '))).toBe(false)
    expect(holds(`${'not '.repeat(2_000)}Service.Port == 1`)).toBe(false)
  })

  it('is not slowed down by regular expressions that make others backtrack', () => {
    const filter = filterFor('Output matches "^(a*)*$"', shapes.check)
    expect(filter({ Output: `${'a'.repeat(4_000)}b` })).toBe(false)
    expect(filter({ Output: 'a'.repeat(4_000) })).toBe(true)
  })

  it('answers or refuses whatever it is given', () => {
    const words = [
      'Service.ID',
      'Checks.Status',
      'Service.Meta',
      '["a"]',
      '==',
      '!=',
      'in',
      'not',
      'is',
      'empty',
    ]
    const more = [
      'contains',
      'matches',
      'and',
      'or',
      '(',
      ')',
      '"a"',
      '`a',
      '1',
      '-',
      '0.5',
      ' ',
      '\n',
      'é',
      '\u{1f600}',
    ]
    const text = fc.oneof(
      fc.array(fc.constantFrom(...words, ...more)).map((parts) => parts.join(' ')),
      fc.array(fc.constantFrom(...words, ...more)).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(text, (expression) => {
        try {
          expect(typeof holds(expression)).toBe('boolean')
        } catch (error) {
          expect(error).toBeInstanceOf(ConsulError)
        }
      }),
      { numRuns: 5_000 },
    )
  })
})
