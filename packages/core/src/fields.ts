import { isIP } from 'node:net'
import { invalidField } from './errors.ts'
import { limits } from './limits.ts'
import { checkText } from './names.ts'

const hostRule = /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?$/

/** Whether it is an IP address or may be the name of a host. */
export function isHost(value: string): boolean {
  return isIP(value) !== 0 || hostRule.test(value)
}

export function checkAddress(field: string, value: unknown): asserts value is string {
  checkText(field, value, limits.addressBytes)
  if (!isHost(value)) throw invalidField(field, 'must be an IP address or a host name')
}

export function checkInteger(
  field: string,
  value: unknown,
  least: number,
  most: number,
): asserts value is number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
    throw invalidField(field, `must be a whole number from ${least} to ${most}`)
}

export function checkList(field: string, value: unknown, most: number): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw invalidField(field, 'must be an array')
  if (value.length > most) throw invalidField(field, `must have at most ${most} elements`)
}
