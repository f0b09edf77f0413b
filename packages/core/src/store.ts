import { invalidField } from './errors.ts'
import { limits } from './limits.ts'
import { checkText } from './names.ts'
import type { Item, Revision, WriteOperation } from './ports.ts'

/** What every store refuses in the same words, before it writes. Throws `invalid_field`. */
export function checkWrite(operations: readonly WriteOperation[]): void {
  if (operations.length > limits.writeOperations)
    throw invalidField('operations', `must be at most ${limits.writeOperations}`)
  const keys = new Set<string>()
  let bytes = 0
  for (const [index, { type, key, at, ...rest }] of operations.entries()) {
    const path = `operations/${index}`
    checkItemKey(`${path}/key`, key)
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

/**
 * Reads an item that an engine kept; its value is copied. Throws `invalid_field` when it is none that `checkWrite` lets
 * through; an engine skips that, and goes on.
 */
export function storedItem({ key, value, createdRevision, modifiedRevision }: Item): Item {
  checkItemKey('key', key)
  if (!isRevision(createdRevision) || !isRevision(modifiedRevision))
    throw invalidField('modifiedRevision', 'must be a revision')
  return Object.freeze({ key, value: new Uint8Array(value), createdRevision, modifiedRevision })
}

function checkItemKey(field: string, key: unknown): void {
  checkText(field, key, limits.itemKeyBytes)
  if (key === '') throw invalidField(field, 'must not be empty')
}

function isRevision(value: Revision): boolean {
  return Number.isSafeInteger(value) && value > 0
}
