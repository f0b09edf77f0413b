import type { OptionGroup, Values } from './options.ts'
import type { Output } from './output.ts'

export interface Argument {
  /** As commander writes it: `<name>` is required, `[id]` is not, `[names...]` are any number. */
  readonly syntax: string
  readonly help: string
}

/** What a command is run with. */
export interface Context<G extends OptionGroup> {
  readonly settings: Values<G>
  /** In the order of the command's arguments; those of a `...` argument are the rest. */
  readonly arguments: readonly (string | undefined)[]
  /** What stood after `--`; `undefined` without one. */
  readonly rest: readonly string[] | undefined
  readonly output: Output
}

/** One command: what stands in its help, what it takes, and what it does. */
export interface Command<G extends OptionGroup> {
  readonly name: string
  readonly summary: string
  /** More, for its own help. */
  readonly description?: string
  readonly arguments: readonly Argument[]
  /** What may stand after `--`, if anything. */
  readonly rest?: Argument
  /** Those of its own, and those it shares: in this order in its help. */
  readonly options: G
  readonly examples: readonly { readonly line: string; readonly does: string }[]
  /** Answers the exit code, if it is not 0. What it needs is imported here: no other command waits for it. */
  run(context: Context<G>): Promise<number | undefined>
}

export function command<G extends OptionGroup>(definition: Command<G>): Command<G> {
  return definition
}
