import type { Item } from '@seamark/core'

/** An item as the API shows it: its value is in base64. */
export function itemJson({ key, value, createdRevision, modifiedRevision }: Item): string {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  return JSON.stringify({ key, value: text, createdRevision, modifiedRevision })
}
