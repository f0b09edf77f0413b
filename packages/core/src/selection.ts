import { Range, satisfies } from 'semver'
import { invalidField } from './errors.ts'
import type { HealthStatus } from './health.ts'
import { limits } from './limits.ts'
import { checkText } from './names.ts'
import type { Entry } from './ports.ts'

/** What an instance must have. All that is given must fit. */
export interface Selection {
  /** A range as npm writes them: `^2.1`, `2.x`, `2.1.0`; at most 256 bytes. Instances without a version fit none. */
  readonly version?: string | undefined
  /** All of them. */
  readonly tags?: readonly string[] | undefined
  readonly zone?: string | undefined
  /** Any of them. */
  readonly health?: readonly HealthStatus[] | undefined
  /** All of the pairs. */
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

const fields: ReadonlySet<string> = new Set<keyof Selection>([
  'version',
  'tags',
  'zone',
  'health',
  'metadata',
])

/**
 * The entries that fit, in their order. Throws `invalid_field` for a version that is no range, for tags that are no list,
 * and for fields it does not know: one that was misspelt would let everybody fit.
 */
export function select(entries: readonly Entry[], selection: Selection): readonly Entry[] {
  for (const field of Object.keys(selection))
    if (!fields.has(field)) throw invalidField(field, `is none of ${[...fields].join(', ')}`)
  const { version, tags = [], zone, health, metadata = {} } = selection
  if (!Array.isArray(tags)) throw invalidField('tags', 'must be a list, such as ["blue"]')
  const range = version === undefined ? undefined : versionRange(version)
  const pairs = Object.entries(metadata)
  return entries.filter(
    ({ instance, health: { status } }) =>
      (health === undefined || health.includes(status)) &&
      (zone === undefined || instance.zone === zone) &&
      tags.every((tag) => instance.tags.includes(tag)) &&
      pairs.every(
        ([key, value]) => Object.hasOwn(instance.metadata, key) && instance.metadata[key] === value,
      ) &&
      (range === undefined || (instance.version !== undefined && satisfies(instance.version, range))),
  )
}

/** A range with thousands of alternatives, compared with thousands of versions, would take seconds. Throws `invalid_field`. */
export function versionRange(version: string): Range {
  checkText('version', version, limits.versionBytes)
  try {
    return new Range(version)
  } catch (cause) {
    throw Object.assign(
      invalidField('version', `must be a version range, such as "^2.1"; "${version}" is none`),
      {
        cause,
      },
    )
  }
}

/** Those a request may be sent to: the passing ones, or, without any, those with a warning. */
export function healthy(entries: readonly Entry[]): readonly Entry[] {
  const passing = entries.filter(({ health }) => health.status === 'passing')
  return passing.length > 0 ? passing : entries.filter(({ health }) => health.status === 'warning')
}
