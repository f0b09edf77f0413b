import { type Colour, type Paint, plain } from './paint.ts'

/** A cell of a table: text, with a colour if it has one. */
export type Cell = string | readonly [colour: Colour, text: string]

export interface Column {
  readonly title: string
  /** Numbers stand on the right. */
  readonly align?: 'right'
  /** Columns of lines that come one by one cannot measure what is still to come. Default: as wide as the widest cell. */
  readonly width?: number
}

const gap = '  '

/** Renders rows under their titles, as `ls -l` does: aligned, without borders, and no space at the end of a line. */
export function table(columns: readonly Column[], rows: readonly (readonly Cell[])[], paint = plain): string {
  const widths = columns.map(({ title, width = 0 }, index) =>
    Math.max(title.length, width, ...rows.map((row) => textWidth(printable(textOf(row[index]!))))),
  )
  return [columns.map(({ title }) => ['dim', title] as const), ...rows]
    .map((row) => line(columns, widths, row, paint))
    .join('\n')
}

/** One line of a table whose columns are so wide. */
export function line(
  columns: readonly Column[],
  widths: readonly number[],
  row: readonly Cell[],
  paint: Paint = plain,
): string {
  const last = row.findLastIndex((cell) => textOf(cell) !== '')
  return row
    .slice(0, last + 1)
    .map((cell, index) => {
      const text = printable(textOf(cell))
      const colour = typeof cell === 'string' ? undefined : cell[0]
      const painted = colour === undefined ? text : paint(colour, text)
      const space = ' '.repeat(Math.max(0, widths[index]! - textWidth(text)))
      if (columns[index]!.align === 'right') return space + painted
      return index === last ? painted : painted + space
    })
    .join(gap)
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell[1]
}

/** Text from elsewhere as one line that cannot steer the terminal: what a health check was answered may hold anything. */
export function printable(text: string): string {
  return text.replace(/\s+/g, ' ').replace(unprintable, '\ufffd')
}

/** Controls, and what turns the direction of text. */
const unprintable = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu

const segmenter = new Intl.Segmenter()
/** What terminals show two columns wide, near enough: East Asian scripts and emoji. */
const wide =
  /^[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|^\p{Emoji_Presentation}/u

function textWidth(text: string): number {
  let width = 0
  for (const { segment } of segmenter.segment(text)) width += wide.test(segment) ? 2 : 1
  return width
}
