import { connect } from '@seamark/client'
import { displayName, type InstanceKey, isSeamarkError, type Notice } from '@seamark/core'
import { hostPort } from './address.ts'
import { type Child, child } from './child.ts'
import { described, type RegisterSettings } from './commands/register.ts'
import { interruption } from './interruption.ts'
import type { Output } from './output.ts'

export interface ForegroundOptions {
  readonly key: InstanceKey
  readonly port: number
  readonly settings: RegisterSettings
  /** The program to run, and its arguments; without one, it is registered until a signal. */
  readonly command: readonly string[] | undefined
  readonly output: Output
}
