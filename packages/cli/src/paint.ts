import type { HealthStatus } from '@seamark/core'

const codes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
} as const
export type Colour = keyof typeof codes

/** Colours a text, or leaves it as it is. */
export type Paint = (colour: Colour, text: string) => string

export const plain: Paint = (_colour, text) => text

export const ansi: Paint = (colour, text) => {
  const [on, off] = codes[colour]
  return `\u001b[${on}m${text}\u001b[${off}m`
}

/** Colours on a terminal that has them, and never against `NO_COLOR` (https://no-color.org). */
export function paintFor(
  stream: { isTTY?: boolean },
  environment: Readonly<Record<string, string | undefined>>,
): Paint {
  const refused = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb'
  return stream.isTTY === true && !refused ? ansi : plain
}

export const healthColour: Readonly<Record<HealthStatus, Colour>> = {
  passing: 'green',
  warning: 'yellow',
  critical: 'red',
  maintenance: 'blue',
}
