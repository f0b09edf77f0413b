import type { Writable } from 'node:stream'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { Colour, Paint } from './paint.ts'
import { printable } from './table.ts'

export interface LogOptions {
  readonly level: string
  readonly format: 'pretty' | 'json'
  readonly paint: Paint
}

/** A logger that writes to a stream: JSON lines, as pino does, or one line for people. */
export function log(stream: Writable, { level, format, paint }: LogOptions): Logger {
  const destination: DestinationStream =
    format === 'json' ? stream : { write: (record) => void stream.write(`${pretty(record, paint)}\n`) }
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}

const levels: Readonly<Record<number, readonly [Colour, string]>> = {
  10: ['dim', 'trace'],
  20: ['dim', 'debug'],
  30: ['green', 'info'],
  40: ['yellow', 'warn'],
  50: ['red', 'error'],
  60: ['red', 'fatal'],
}

/** `12:30:05 warn  The sentence. key=value`; an error's stack follows, indented. */
export function pretty(record: string, paint: Paint): string {
  const { level, time, msg = '', err, ...rest } = JSON.parse(record)
  const [colour, name] = levels[level] ?? ['dim', String(level)]
  const clock = new Date(time).toTimeString().slice(0, 8)
  const facts = Object.entries(rest).map(([key, value]) => `${key}=${flat(value)}`)
  const words = [printable(msg), ...(facts.length === 0 ? [] : [paint('dim', printable(facts.join(' ')))])]
  const stack = err === undefined ? '' : `\n${String(err.stack ?? err.message ?? err).replace(/^/gm, '    ')}`
  return `${paint('dim', clock)} ${paint(colour, name.padEnd(5))} ${words.join(' ')}${stack}`
}

function flat(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value)
}
