import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { ansi } from './paint.ts'
import { line, printable, table } from './table.ts'

const columns = [{ title: 'ID' }, { title: 'WEIGHT', align: 'right' }, { title: 'TAGS' }] as const

describe('a table', () => {
  it('is aligned, with no space at the end of a line', () => {
    expect(
      table(columns, [
        ['api-1', '1', 'blue green'],
        ['a-longer-id', '100', ''],
      ]),
    ).toBe(['ID           WEIGHT  TAGS', 'api-1             1  blue green', 'a-longer-id     100'].join('\n'))
  })

  it('is aligned in colours too, and colours change nothing else', () => {
    const rows = [
      [['red', 'critical'], '1', ''],
      ['x', '22', ['green', 'blue']],
    ] as const
    const painted = table(columns, rows, ansi)
    expect(painted).toContain('\u001b[31mcritical\u001b[39m')
    expect(stripVTControlCharacters(painted)).toBe(table(columns, rows))
  })

  it('counts what terminals show two columns wide as two', () => {
    const [, first, second] = table(
      [{ title: 'A' }, { title: 'B' }],
      [
        ['日本', 'x'],
        ['abcd', 'x'],
      ],
    ).split('\n')
    expect(first).toBe('日本  x')
    expect(second).toBe('abcd  x')
  })

  it('keeps the width of columns whose rows come one by one, and lets long cells overflow', () => {
    const streamed = [{ title: 'A' }, { title: 'B' }]
    expect(line(streamed, [4, 1], ['ab', 'x'])).toBe('ab    x')
    expect(line(streamed, [4, 1], ['abcdef', 'x'])).toBe('abcdef  x')
  })
})

describe('text from elsewhere', () => {
  it('cannot steer the terminal, nor begin a line', () => {
    expect(printable('ok\r\n\u001b[2Jgone\u009b31m\u202etxt')).toBe('ok \ufffd[2Jgone\ufffd31m\ufffdtxt')
  })
})
