import { checkName, invalidField, isSeamarkError, limits, type Selection, versionRange } from '@seamark/core'
import { type Check, duration, integer, list, oneOf, record, share, text, token } from './fields.ts'
import type { Canary, Circuit, FallbackPolicy, Pin, Policy, RateLimit } from './policy.ts'

/** Milliseconds of a day: nothing here needs to last longer. */
const day = 86_400_000

/** What is read of a rate before its default, which depends on another field, is known. */
type RateInput = Omit<RateLimit, 'burst'> & { readonly burst?: number }

const rateInput = record<RateInput>(
  'a rate limit',
  {
    requests: integer(1, 1_000_000),
    per: duration(1, day),
    burst: integer(1, 1_000_000),
    by: oneOf(['client', 'rule']),
  },
  { defaults: { per: 1_000, by: 'client' }, required: ['requests'] },
)

const rate: Check<RateLimit> = (field, value) => {
  const read = rateInput(field, value)
  return Object.freeze({ ...read, burst: read.burst ?? read.requests })
}

const circuit = record<Circuit>(
  'a circuit',
  {
    failures: (field, value) => {
      const failures = share(field, value)
      if (failures === 0) throw invalidField(field, 'must be more than 0')
      return failures
    },
    volume: integer(1, 1_000_000),
    window: duration(100, 3_600_000),
    rest: duration(1, 3_600_000),
  },
  // https://github.com/Netflix/Hystrix/wiki/Configuration
  { defaults: { failures: 0.5, volume: 20, window: 10_000, rest: 5_000 } },
)

/** Bytes of an answer that a person writes into a file. */
const bodyBytes = 65_536

const body: Check<string> = (field, value) => {
  if (typeof value !== 'string' || Buffer.byteLength(value) > bodyBytes)
    throw invalidField(field, `must be a string of at most ${bodyBytes} bytes`)
  return value
}

/** As it goes into a header (RFC 9110, 5.5). */
const printable = (bytes: number): Check<string> => {
  const check = text(bytes)
  return (field, value) => {
    const read = check(field, value)
    if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(read))
      throw invalidField(field, 'must be of printable ASCII, without space around it')
    return read
  }
}

const serviceName: Check<string> = (field, value) => {
  const read = text(limits.addressBytes + 1 + limits.nameBytes)(field, value)
  const slash = read.indexOf('/')
  if (slash !== -1) checkName(field, read.slice(0, slash))
  checkName(field, read.slice(slash + 1))
  return read
}

const type = oneOf(['static', 'service', 'last-good'])

type FallbackOf<T extends FallbackPolicy['type']> = Extract<FallbackPolicy, { readonly type: T }>

const fallbacks: { readonly [T in FallbackPolicy['type']]: Check<FallbackOf<T>> } = {
  static: record<FallbackOf<'static'>>(
    'a static fallback',
    {
      type: oneOf(['static']),
      status: integer(200, 599),
      contentType: printable(256),
      body,
    },
    { defaults: { status: 503, contentType: 'text/plain; charset=utf-8' }, required: ['body'] },
  ),
  service: record<FallbackOf<'service'>>(
    'a fallback to another service',
    { type: oneOf(['service']), service: serviceName },
    { required: ['service'] },
  ),
  'last-good': record<FallbackOf<'last-good'>>(
    'a fallback to the last good answer',
    { type: oneOf(['last-good']), maxAge: duration(1, 30 * day) },
    { defaults: { maxAge: 3_600_000 } },
  ),
}

const fallback: Check<FallbackPolicy> = (field, value) => {
  const given = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
  return fallbacks[type(`${field}/type`, given)](field, value)
}

/** Not by health: who is unhealthy is nobody's canary. */
export const selection = record<Omit<Selection, 'health'>>('a choice of instances', {
  version: (field, value) => {
    try {
      versionRange(value as string)
    } catch (cause) {
      if (!isSeamarkError(cause, 'invalid_field')) throw cause
      throw invalidField(field, 'must be a version range, such as "^2.1"')
    }
    return value as string
  },
  tags: list(limits.tags, text(limits.tagBytes)),
  zone: text(limits.zoneBytes),
  metadata: (field, value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalidField(field, 'must be an object of strings')
    const pairs = Object.entries(value)
    if (pairs.length > limits.metadataPairs)
      throw invalidField(field, `must have at most ${limits.metadataPairs} pairs`)
    const check = text(limits.metadataValueBytes)
    return Object.freeze(
      Object.fromEntries(pairs.map(([key, one]) => [key, check(`${field}/${key}`, one)] as const)),
    )
  },
})

const pin = (what: string, name: Check<string>): Check<Pin> =>
  record<Pin>(what, { name, value: printable(1_024) }, { required: ['name', 'value'] })

const canaryInput = record<Canary>(
  'a canary',
  {
    select: selection,
    share,
    header: pin('a header', (field, value) => token(field, value).toLowerCase()),
    cookie: pin('a cookie', token),
  },
  { defaults: { share: 0 }, required: ['select'] },
)

const canary: Check<Canary> = (field, value) => {
  const read = canaryInput(field, value)
  if (Object.keys(read.select).length === 0)
    throw invalidField(`${field}/select`, 'must say what makes an instance a canary, such as its version')
  return read
}

const read = record<Policy>('a policy', {
  concurrency: integer(1, 1_000_000),
  rate,
  circuit,
  fallback,
  canary,
})

/** Protects nothing. */
export const noPolicy: Policy = Object.freeze({})

/**
 * Reads a policy as people write it: durations in ms or as `"2s"`, and what is left out as `Policy` says. The result is frozen.
 * Throws `invalid_field`, with the path below `field`.
 */
export function policy(field: string, value: unknown): Policy {
  return read(field, value)
}
