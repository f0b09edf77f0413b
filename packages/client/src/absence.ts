import { displayName, healthStatuses, SeamarkError, type Snapshot } from '@seamark/core'
import { type FindFilter, primaryHolder } from './primary.ts'

export interface Absence {
  readonly snapshot: Snapshot
  readonly filter: FindFilter
  /** Milliseconds since 1970; `undefined` while the view is current. */
  readonly staleSince: number | undefined
  readonly date: number
}

/** Versions and the like that a message names; the rest is counted. */
const named = 10

/** Why nobody was found: what was looked for, what there is, and how old that knowledge is. */
export function absence({ snapshot, filter, staleSince, date }: Absence): SeamarkError {
  const { service, entries } = snapshot
  const name = displayName(service)
  const sought = describe(filter)
  const age = staleSince === undefined ? '' : ` ${staleness(staleSince, date)}`
  if (entries.length === 0) {
    const looked = sought === '' ? '' : ` (looked for ${sought})`
    const message = `No instance of ${name} is registered${looked}.${age}`
    return new SeamarkError('service_not_found', message, { details: { ...service, staleSince } })
  }
  const counts = Object.fromEntries(
    healthStatuses.map((status) => [status, entries.filter(({ health }) => health.status === status).length]),
  )
  const health = healthStatuses
    .filter((status) => counts[status])
    .map((status) => `${counts[status]} ${status}`)
  const versions = distinct(entries.map(({ instance }) => instance.version))
  const total = entries.length === 1 ? '1 instance exists' : `${entries.length} instances exist`
  const exists = [`${total}: ${health.join(', ')}`]
  if (versions.length > 0) exists.push(`versions ${list(versions)}`)
  if (filter.tags?.length)
    exists.push(`tags ${list(distinct(entries.flatMap(({ instance }) => instance.tags)))}`)
  if (filter.zone !== undefined)
    exists.push(`zones ${list(distinct(entries.map(({ instance }) => instance.zone)))}`)
  const fits = sought === '' ? 'is healthy' : `is healthy and fits ${sought}`
  const primary = primaryHolder(snapshot)?.id ?? null
  const why = filter.primary ? noPrimary(name, primary, sought) : `No instance of ${name} ${fits}.`
  return new SeamarkError('no_match', `${why} ${exists.join('; ')}.${age}`, {
    details: {
      ...service,
      instances: entries.length,
      health: counts,
      versions,
      ...(filter.primary && { primary }),
      staleSince,
    },
  })
}

function noPrimary(name: string, primary: string | null, sought: string): string {
  if (primary === null) return `No instance of ${name} is its primary at present.`
  return `The primary of ${name}, ${primary}, is not healthy${sought && `, or does not fit ${sought}`}.`
}

/** "The view is stale since …", for the end of a message. */
function staleness(since: number, date: number): string {
  const seconds = Math.max(0, Math.round((date - since) / 1_000))
  return `This view is stale since ${new Date(since).toISOString()} (${seconds} s).`
}

/** A filter in words: `version ^2, tag "blue", zone "eu-1"`. */
function describe({ version, tags = [], zone, metadata = {} }: FindFilter): string {
  const parts: string[] = []
  if (version !== undefined) parts.push(`version ${version}`)
  for (const tag of tags) parts.push(`tag "${tag}"`)
  if (zone !== undefined) parts.push(`zone "${zone}"`)
  for (const [key, value] of Object.entries(metadata)) parts.push(`metadata ${key} "${value}"`)
  return parts.join(', ')
}

function distinct(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter((value) => value !== undefined))].sort()
}

function list(values: readonly string[]): string {
  if (values.length === 0) return 'none'
  const shown = values.slice(0, named).join(', ')
  return values.length > named ? `${shown} and ${values.length - named} more` : shown
}
