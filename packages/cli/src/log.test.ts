import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { log, pretty } from './log.ts'
import { ansi, plain } from './paint.ts'

const time = '2026-11-21T00:16:42.601Z'
const clock = new Date(time).toTimeString().slice(0, 8)

describe('a line of the log, for people', () => {
  it('has the time, the level, the sentence, and the facts', () => {
    const record = {
      level: 30,
      time,
      msg: 'listening',
      url: 'http://127.0.0.1:8500',
      note: 'two words',
      n: 1,
    }
    expect(pretty(JSON.stringify(record), plain)).toBe(
      `${clock} info  listening url=http://127.0.0.1:8500 note="two words" n=1`,
    )
  })

  it('is the same in colours', () => {
    const record = JSON.stringify({ level: 40, time, msg: 'late', away: 5 })
    expect(pretty(record, ansi)).not.toBe(pretty(record, plain))
    expect(stripVTControlCharacters(pretty(record, ansi))).toBe(pretty(record, plain))
  })

  it('has the stack of an error below it', () => {
    const record = { level: 50, time, msg: 'failed', err: { message: 'no', stack: 'Error: no\n    at here' } }
    expect(pretty(JSON.stringify(record), plain)).toBe(
      `${clock} error failed\n    Error: no\n        at here`,
    )
  })

  it('stays one line that cannot steer the terminal', () => {
    const record = { level: 30, time, msg: 'a\nb\u001b[2J', id: '\u009b31m' }
    expect(pretty(JSON.stringify(record), plain)).toBe(`${clock} info  a b\ufffd[2J id="\ufffd31m"`)
  })
})

describe('a logger', () => {
  it.each(['json', 'pretty'] as const)('writes lines of its level and above as %s', (format) => {
    const stream = new PassThrough().setEncoding('utf8')
    const logger = log(stream, { logLevel: 'warn', logFormat: format })
    logger.info('unsaid')
    logger.warn({ event: 'said' }, 'said')
    const text: string = stream.read()
    expect(text.split('\n')).toHaveLength(2)
    expect(text).toMatch(
      format === 'json'
        ? /^\{"level":40,"time":"\d.*"event":"said","msg":"said"\}\n$/
        : / warn {2}said event=said\n$/,
    )
  })
})
