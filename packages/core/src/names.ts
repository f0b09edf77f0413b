import { invalidField } from './errors.ts'
import { limits } from './limits.ts'

export interface ServiceKey {
  readonly namespace: string
  readonly service: string
}

export interface InstanceKey extends ServiceKey {
  readonly id: string
}

export const defaultNamespace = 'default'

/** Stands between the parts of a key: names hold no control characters, so no two keys share a string. */
const separator = '\u0000'

/** A string that no other service key has: for maps. */
export function serviceId(key: ServiceKey): string {
  return key.namespace + separator + key.service
}

/** A string that no other instance key has: for maps. */
export function instanceId(key: InstanceKey): string {
  return key.namespace + separator + key.service + separator + key.id
}

/** How a key is written for people: `api`, `api/i1`, and with a namespace other than the default `test.shop/api/i1`. */
export function displayName(key: ServiceKey | InstanceKey): string {
  const service = key.namespace === defaultNamespace ? key.service : `${key.namespace}/${key.service}`
  return 'id' in key ? `${service}/${key.id}` : service
}

const label = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what names may not hold
const control = /[\u0000-\u001f\u007f-\u009f]/
const loneSurrogate = /\p{Surrogate}/u

/** Text that every engine can keep: well-formed UTF-8, no control characters, at most `bytes` bytes. */
export function checkText(field: string, value: unknown, bytes: number): asserts value is string {
  if (typeof value !== 'string') throw invalidField(field, 'must be a string')
  // Most text is short: the length in UTF-16 units bounds the bytes from both sides, and saves counting them.
  if (value.length > bytes || (value.length * 3 > bytes && Buffer.byteLength(value) > bytes))
    throw invalidField(field, `must have at most ${bytes} bytes of UTF-8`)
  if (control.test(value)) throw invalidField(field, 'must not hold control characters')
  if (loneSurrogate.test(value)) throw invalidField(field, 'must be well-formed Unicode')
}

/** The wide rule, for what Consul and Curator allow: 1–255 bytes of UTF-8, no control characters. */
export function checkName(field: string, value: unknown): asserts value is string {
  checkText(field, value, limits.nameBytes)
  if (value === '') throw invalidField(field, 'must not be empty')
}

/** The strict rule, for services that people create: a DNS label, so that DNS can answer for them. */
export function checkLabel(field: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidField(field, 'must be a string')
  if (!label.test(value))
    throw invalidField(
      field,
      'must be a DNS label: 1 to 63 of a-z, 0-9 and "-", starting with a letter, ending with a letter or digit',
    )
}

/** The strict rule for namespaces: DNS labels joined by dots. */
export function checkNamespaceLabels(field: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidField(field, 'must be a string')
  if (value.length > limits.addressBytes || !value.split('.').every((part) => label.test(part)))
    throw invalidField(
      field,
      'must be DNS labels (a-z, 0-9, "-") joined by dots, such as "default" or "test.shop"',
    )
}
