import { type Paint, paintFor } from './paint.ts'
import { type Cell, type Column, printable, table } from './table.ts'

/** Where a command prints: results to standard output, remarks to standard error, so that pipes get results only. */
export interface Output {
  readonly json: boolean
  readonly paint: Paint
  /** A line of the result, for people. */
  print(line: string): void
  /** A table of the result, for people. */
  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): void
  /** A document of the result, for programs: one line. */
  document(value: unknown): void
  /** What the reader should know beside the result. Programs do not get it. */
  remark(text: string): void
}

export function output(
  { json, environment }: { json: boolean; environment: Readonly<Record<string, string | undefined>> },
  { stdout, stderr }: { stdout: NodeJS.WriteStream; stderr: NodeJS.WriteStream } = process,
): Output {
  const paint = paintFor(stdout, environment)
  return {
    json,
    paint,
    print: (line) => void stdout.write(`${line}\n`),
    table: (columns, rows) => void stdout.write(`${table(columns, rows, paint)}\n`),
    document: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
    remark: (text) => {
      if (!json) stderr.write(`${paintFor(stderr, environment)('dim', printable(text))}\n`)
    },
  }
}
