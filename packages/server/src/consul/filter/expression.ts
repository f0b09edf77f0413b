import { filterError } from './filter-error.ts'
import { quote, unquote } from './quote.ts'

export type Operator = 'equal' | 'in' | 'matches' | 'empty'

export interface Match {
  readonly type: 'match'
  readonly operator: Operator
  /** Asks for the opposite. */
  readonly negated: boolean
  readonly selector: readonly string[]
  readonly value: string
}

export type Expression =
  | Match
  | { readonly type: 'not'; readonly operand: Expression }
  | { readonly type: 'and' | 'or'; readonly operands: readonly Expression[] }

/** Characters of an expression. */
export const longestExpression = 8_192

/** Levels of parentheses. */
const deepestExpression = 100

/** What stands between a selector and a value. */
const comparisons: readonly { words: readonly string[]; operator: Operator; negated: boolean }[] = [
  { words: ['=='], operator: 'equal', negated: false },
  { words: ['!='], operator: 'equal', negated: true },
  { words: ['contains'], operator: 'in', negated: false },
  { words: ['not', 'contains'], operator: 'in', negated: true },
  { words: ['matches'], operator: 'matches', negated: false },
  { words: ['not', 'matches'], operator: 'matches', negated: true },
]

const emptiness = [
  { words: ['is', 'empty'], operator: 'empty', negated: false },
  { words: ['is', 'not', 'empty'], operator: 'empty', negated: true },
] as const

const memberships = [
  { words: ['in'], operator: 'in', negated: false },
  { words: ['not', 'in'], operator: 'in', negated: true },
] as const

type Comparison = (typeof comparisons)[number]

/** Parses go-bexpr's language as Consul 1.8 speaks it. Throws `ConsulError`, in Consul's words. */
export function parse(text: string): Expression {
  if (text.length > longestExpression)
    throw filterError(`the expression must have at most ${longestExpression} characters`)
  const parser = new Parser(text)
  return parser.input() ?? parser.fail()
}

/**
 * A descent that goes back where the grammar (a PEG) does, but parses nothing twice that can be long. It notes what it looked
 * for at the furthest place that it came to: that is what Consul's errors tell.
 */
class Parser {
  readonly #text: string
  #at = 0
  #depth = 0
  #furthest = 0
  #expected = new Set<string>()
  readonly #faults = new Set<string>()

  constructor(text: string) {
    this.#text = text
  }

  input(): Expression | undefined {
    this.#spaces()
    const expression = this.#or()
    if (expression === undefined) return undefined
    this.#spaces()
    return this.#ended() && this.#faults.size === 0 ? expression : undefined
  }

  fail(): never {
    if (this.#faults.size > 0) throw filterError([...this.#faults].join('\n'))
    const eof = this.#expected.delete('EOF')
    const expected = [...this.#expected].sort()
    if (eof) expected.push('EOF')
    const last = expected.pop()
    const all = expected.length > 0 ? `${expected.join(', ')} or ${last}` : last
    throw filterError(`${this.#place(this.#furthest)}: no match found, expected: ${all}`)
  }

  #or(): Expression | undefined {
    return this.#chain('or', () => this.#chain('and', () => this.#not()))
  }

  #chain(type: 'and' | 'or', next: () => Expression | undefined): Expression | undefined {
    const first = next()
    if (first === undefined) return undefined
    const operands = [first]
    for (;;) {
      const before = this.#at
      const operand = this.#spaced([type]) ? next() : undefined
      if (operand === undefined) {
        this.#at = before
        return operands.length === 1 ? first : { type, operands }
      }
      operands.push(operand)
    }
  }

  #not(): Expression | undefined {
    const start = this.#at
    let odd = false
    const places = [start]
    while (this.#literal('not') && this.#spaces()) {
      odd = !odd
      places.push(this.#at)
    }
    // What looked like a "not" may be a selector of that name.
    for (const place of places.reverse()) {
      this.#at = place
      const operand = this.#group()
      if (operand !== undefined) return odd ? { type: 'not', operand } : operand
      odd = !odd
    }
    this.#at = start
    return undefined
  }

  #group(): Expression | undefined {
    const start = this.#at
    if (!this.#literal('(')) return this.#match()
    if (++this.#depth > deepestExpression)
      throw filterError(`parentheses may be at most ${deepestExpression} levels deep`)
    this.#spaces()
    const expression = this.#or()
    this.#depth--
    if (expression !== undefined) {
      this.#spaces()
      if (this.#literal(')')) return expression
      this.#fault('grouping', 'Unmatched parentheses')
    }
    this.#at = start
    return undefined
  }

  #match(): Match | undefined {
    const start = this.#at
    const selector = this.#selector()
    if (selector !== undefined) {
      const end = this.#at
      const comparison = comparisons.find((one) => this.#operator(one))
      const value = comparison && this.#value()
      if (value !== undefined) return match(comparison!, selector, value)
      this.#at = end
      const question = emptiness.find(({ words }) => this.#spaced(words, false))
      if (question !== undefined) return match(question, selector, '')
    }
    this.#at = start
    const value = this.#value()
    const membership = value !== undefined && memberships.find(({ words }) => this.#spaced(words))
    if (membership) {
      const container = this.#selector()
      if (container !== undefined) return match(membership, container, value)
      this.#fault('match', 'Invalid selector')
    }
    this.#at = start
    return undefined
  }

  #operator({ words, operator }: Comparison): boolean {
    if (operator !== 'equal') return this.#spaced(words)
    const start = this.#at
    this.#spaces()
    if (!this.#literal(words[0]!)) {
      this.#at = start
      return false
    }
    this.#spaces()
    return true
  }

  /** Words with space before and between them, and `after` the last. */
  #spaced(words: readonly string[], after = true): boolean {
    const start = this.#at
    if (words.every((word) => this.#spaces() && this.#literal(word)) && (!after || this.#spaces()))
      return true
    this.#at = start
    return false
  }

  #selector(): string[] | undefined {
    const first = this.#identifier()
    if (first === undefined) return undefined
    const selector = [first]
    for (;;) {
      const before = this.#at
      const next = this.#literal('.') ? this.#identifier() : this.#index()
      if (next === undefined) {
        this.#at = before
        return selector
      }
      selector.push(next)
    }
  }

  #identifier(): string | undefined {
    const start = this.#at
    if (!this.#character(/[a-zA-Z]/, '[a-zA-Z]')) return undefined
    while (this.#character(/[a-zA-Z0-9_]/, '[a-zA-Z0-9_]'));
    return this.#text.slice(start, this.#at)
  }

  #index(): string | undefined {
    if (!this.#literal('[')) return undefined
    this.#spaces()
    const start = this.#at
    const index = this.#string()
    if (index === undefined) {
      this.#at = start
      this.#fault('index', 'Invalid index')
      return undefined
    }
    this.#spaces()
    if (this.#literal(']')) return index
    this.#fault('index', 'Unclosed index expression')
    return undefined
  }

  #value(): string | undefined {
    return this.#selector()?.join('.') ?? this.#number() ?? this.#string()
  }

  #number(): string | undefined {
    const start = this.#at
    this.#literal('-')
    if (!this.#literal('0')) {
      if (!this.#character(/[1-9]/, '[1-9]')) {
        this.#at = start
        return undefined
      }
      while (this.#character(/[0-9]/, '[0-9]'));
    }
    const whole = this.#at
    if (this.#literal('.')) {
      const point = this.#at
      while (this.#character(/[0-9]/, '[0-9]'));
      if (this.#at === point) this.#at = whole
    }
    const end = this.#at
    const over = this.#spaces() || this.#ended() || this.#literal(')')
    this.#at = end
    if (over) return this.#text.slice(start, end)
    this.#fault('number', 'Invalid number literal')
    this.#at = start
    return undefined
  }

  #string(): string | undefined {
    const start = this.#at
    const quoteMark = ['`', '"'].find((mark) => this.#literal(mark))
    if (quoteMark === undefined) return undefined
    const end = this.#text.indexOf(quoteMark, this.#at)
    if (end < 0) {
      this.#at = this.#text.length
      this.#fault('string', 'Unterminated string literal')
      this.#at = start
      return undefined
    }
    const text = unquote(this.#text.slice(start, end + 1))
    if (text === undefined) this.#fault('string', 'invalid syntax', start)
    this.#at = end + 1
    return text ?? ''
  }

  /** As many as there are; whether there was one. */
  #spaces(): boolean {
    const start = this.#at
    while (this.#character(/[ \t\r\n]/, '[ \\t\\r\\n]'));
    return this.#at > start
  }

  #literal(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return this.#missed(quote(text))
    this.#at += text.length
    return true
  }

  #character(which: RegExp, name: string): boolean {
    if (!which.test(this.#text.charAt(this.#at))) return this.#missed(name)
    this.#at++
    return true
  }

  #ended(): boolean {
    return this.#at === this.#text.length || this.#missed('EOF')
  }

  #missed(what: string): false {
    if (this.#at > this.#furthest) {
      this.#furthest = this.#at
      this.#expected.clear()
    }
    if (this.#at === this.#furthest) this.#expected.add(what)
    return false
  }

  #fault(rule: string, problem: string, at = this.#at): void {
    this.#faults.add(`${this.#place(at)}: rule ${quote(rule)}: ${problem}`)
  }

  /** Line, column and bytes, as Go's parser generators tell them: a line feed is column 0 of the next line. */
  #place(at: number): string {
    const before = this.#text.slice(0, at)
    const line = this.#text.slice(0, at + 1).split('\n')
    const column = [...line.at(-1)!].length + (at === this.#text.length ? 1 : 0)
    return `${line.length}:${column} (${Buffer.byteLength(before)})`
  }
}

function match({ operator, negated }: Comparison, selector: readonly string[], value: string): Match {
  return { type: 'match', operator, negated, selector, value }
}
