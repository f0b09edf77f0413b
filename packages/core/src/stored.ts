import { type Instance, type InstanceInput, instance, instanceFields } from './instance.ts'

/**
 * Reads an instance that an engine kept as JSON, perhaps written by a newer Seamark: fields it does not know are left out.
 * Throws `invalid_field` when what remains is no instance; an engine skips and counts that, and goes on.
 */
export function storedInstance(value: unknown): Instance {
  const known = Object.entries(Object(value)).filter(([field]) => instanceFields.has(field))
  return instance(Object.fromEntries(known) as unknown as InstanceInput)
}
