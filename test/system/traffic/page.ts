import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../../scripts/step.js'

/** What a reader of a guide does, one after the other. */
export type Step =
  /** Reads on, in a new section. */
  | { readonly type: 'section'; readonly heading: string }
  /** Writes a file. */
  | { readonly type: 'write'; readonly file: string; readonly text: string }
  /** Changes a part of a file. */
  | { readonly type: 'change'; readonly file: string; readonly from: string; readonly to: string }
  /** Starts something that goes on running, in a terminal of its own. */
  | { readonly type: 'start'; readonly command: string }
  /** Runs something, which prints that. */
  | { readonly type: 'run'; readonly command: string; readonly output: string }

/**
 * The steps of a page: every block of code in it is one. A program begins with a comment that names its file, and JSON stands after a
 * sentence that does; a change with `--- file`. A command with output after it comes to its end, all others go on.
 * Throws for blocks of any other kind.
 */
export function page(path: string): readonly Step[] {
  const text = readFileSync(join(root, path), 'utf8')
  const parts = [...text.matchAll(/^## (?<heading>[^\n]+)$|^```(?<language>\w*)\n(?<code>.*?)^```$/gms)]
  const outputs = new Set<RegExpExecArray>()
  const steps = parts.map((part, index): Step | undefined => {
    const { heading, language = '', code = '' } = part.groups ?? {}
    if (heading !== undefined) return { type: 'section', heading }
    const prose = text.slice(0, part.index)
    if (language === 'js') return { type: 'write', file: named(/^\/\/ (\S+)$/m, code), text: code }
    if (language === 'json') return { type: 'write', file: named(/`(\S+)`:\s*$/, prose), text: code }
    if (language === 'diff') {
      const lines = code.split('\n').slice(1)
      const without = (sign: string) =>
        lines.flatMap((line) => (line.startsWith(sign) ? [] : [line.slice(1)])).join('\n')
      return { type: 'change', file: named(/^--- (\S+)$/m, code), from: without('+'), to: without('-') }
    }
    if (language === 'text' && outputs.has(part)) return undefined
    if (language !== 'sh') throw new Error(`${path}: nobody knows what to do with\n${part[0]}`)
    const next = parts[index + 1]
    if (next?.groups?.language !== 'text') return { type: 'start', command: code }
    outputs.add(next)
    return { type: 'run', command: code, output: next.groups.code ?? '' }
  })
  return steps.filter((step) => step !== undefined)
}

function named(pattern: RegExp, text: string): string {
  const [, name] = pattern.exec(text) ?? []
  if (name === undefined) throw new Error(`No file is named for\n${text.slice(-500)}`)
  return name
}
