import { inspect } from 'node:util'
import { isSeamarkError } from '@seamark/core'
import { type Exit, exitCodes, exitOf } from './exit-codes.ts'

/** What a command could not do, when no code of Seamark's errors says it. */
export class Failure extends Error {
  override readonly name = 'Failure'
  /** One of the table; or a code that is not ours to choose, such as a shell's 127. */
  readonly exit: Exit | number

  constructor(exit: Exit | number, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.exit = exit
  }
}

export function exitCode(error: unknown): number {
  if (error instanceof Failure)
    return typeof error.exit === 'number' ? error.exit : exitCodes[error.exit].code
  if (isSeamarkError(error)) return exitCodes[exitOf[error.code] ?? 'failure'].code
  return exitCodes.failure.code
}

/** What is printed of an error: one message for people, or for programs a document as the HTTP API answers. */
export function complaint(error: unknown, { json, verbose }: { json: boolean; verbose: boolean }): string {
  if (json) return JSON.stringify({ error: describe(error) })
  if (verbose) return `seamark: ${inspect(error)}`
  if (isSeamarkError(error) || error instanceof Failure) return `seamark: ${error.message}`
  return `seamark: ${error instanceof Error ? error.message : String(error)} (--verbose shows where it came from)`
}

function describe(error: unknown): Record<string, unknown> {
  if (isSeamarkError(error))
    return {
      code: error.code,
      message: error.message,
      ...(error.field !== undefined && { field: error.field }),
    }
  return {
    code: error instanceof Failure && typeof error.exit === 'string' ? error.exit : 'failure',
    message: error instanceof Error ? error.message : String(error),
  }
}
