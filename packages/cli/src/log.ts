import type { Writable } from 'node:stream'
import type { Notify } from '@seamark/core'
import { type DestinationStream, type Logger, pino } from 'pino'
import { type Colour, type Paint, paintFor } from './paint.ts'
import { printable } from './table.ts'

/** The options of commands that log. */
export interface LogSettings {
  readonly logLevel: string
  /** `auto`: pretty on a terminal, else JSON. */
  readonly logFormat: 'auto' | 'pretty' | 'json'
}

/** A logger that writes to a stream: JSON lines, as pino does, or one line for people. */
export function log(stream: Writable & { isTTY?: boolean }, { logLevel, logFormat }: LogSettings): Logger {
  const paint = paintFor(stream, process.env)
  const isPretty = logFormat === 'pretty' || (logFormat === 'auto' && stream.isTTY === true)
  const destination: DestinationStream = isPretty
    ? { write: (record) => void stream.write(`${pretty(record, paint)}\n`) }
    : stream
  return pino({ level: logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}

/** Logs notices. */
export function logged(logger: Logger): Notify {
  return ({ level, event, message, details: { error, ...details } = {} }) =>
    logger[level]({ event, ...details, ...(error !== undefined && { err: error }) }, message)
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
