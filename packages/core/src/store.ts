import { invalidField } from './errors.ts'
import { limits } from './limits.ts'
import { checkText } from './names.ts'
import type { WriteOperation } from './ports.ts'

/** What every store refuses in the same words, before it writes. Throws `invalid_field`. */
export function checkWrite(operations: readonly WriteOperation[]): void {
  if (operations.length > limits.writeOperations)
    throw invalidField('operations', `must be at most ${limits.writeOperations}`)
  const keys = new Set<string>()
  let bytes = 0
  for (const [index, { type, key, at, ...rest }] of operations.entries()) {
    const path = `operations/${index}`
    checkText(`${path}/key`, key, limits.itemKeyBytes)
    if (key === '') throw invalidField(`${path}/key`, 'must not be empty')
    if (keys.has(key)) throw invalidField(`${path}/key`, 'is the key of another operation too')
    keys.add(key)
    if (at === undefined ? type === 'check' : !Number.isSafeInteger(at) || at < 0)
      throw invalidField(`${path}/at`, 'must be a revision')
    if ('value' in rest) bytes += rest.value.byteLength
  }
  if (bytes > limits.writeBytes)
    throw invalidField('operations', `must hold at most ${limits.writeBytes} bytes of values`)
}

/** Throws `invalid_field`. */
export function checkPrefix(prefix: string): void {
  checkText('prefix', prefix, limits.itemKeyBytes)
}
