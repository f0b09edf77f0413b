import { durationPattern, healthStatuses, limits } from '@seamark/core'
import { requestLimits } from './bounds.ts'

/**
 * The shapes of the protocol, as JSON Schema: they validate requests, and they are the OpenAPI document. What they
 * cannot say (bytes, names, host names) core's `instance()` checks.
 */

const text = { type: 'string' } as const

/** Bytes of UTF-8 are not characters: the number is only said. */
function bytes(most: number, description: string) {
  return { type: 'string', description: `${description} At most ${most} bytes of UTF-8.` } as const
}

const duration = {
  type: ['integer', 'string'],
  minimum: 0,
  pattern: durationPattern,
  examples: ['10s', '500ms', 10_000],
  description: 'A duration: a whole number of milliseconds, or a text such as "500ms", "10s", "5m", "1h".',
} as const

export const namespaceParams = object({
  namespace: bytes(limits.addressBytes, 'The namespace: DNS labels joined by dots.'),
})

export const serviceParams = object({
  ...namespaceParams.properties,
  service: bytes(limits.nameBytes, 'The service: a DNS label, unless `names=any`.'),
})

export const instanceParams = object({
  ...serviceParams.properties,
  id: bytes(limits.nameBytes, 'The id of the instance, unique in its namespace.'),
})

export const claimParams = object({
  ...serviceParams.properties,
  name: bytes(limits.nameBytes, 'The name of the claim, unique in its service.'),
})

const names = {
  type: 'string',
  enum: ['any'],
  description:
    'Lets names be any text of 1–255 bytes without control characters, and the port be 0, as foreign models allow.',
} as const

export const namesQuery = optional({ names })

const version = {
  type: 'string',
  description: 'A range of semantic versions, such as `^2.1`.',
  examples: ['^2.1'],
} as const
const tag = {
  type: 'array',
  items: text,
  description: 'A tag it must have; repeat it for several (all of them).',
} as const
const zone = { type: 'string', description: 'The zone it must be in.' } as const
const health = {
  type: 'array',
  items: { type: 'string', enum: [...healthStatuses] },
  description: 'A health it may have; repeat it for several (any of them).',
} as const

export const serviceQuery = optional({
  version,
  tag,
  zone,
  health,
  metadata: {
    type: 'array',
    items: { type: 'string', pattern: '^[^:]+:', examples: ['team:checkout'] },
    description: '`key:value` it must have; repeat it for several (all of them).',
  },
  after: { type: 'string', description: 'The id that the page begins after: `next` of the page before.' },
  limit: { type: 'integer', minimum: 1, maximum: requestLimits.instancesPage, description: 'Default 1000.' },
  index: {
    type: 'integer',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'Answer as soon as the revision of the service differs from this one.',
  },
  wait: {
    type: 'string',
    pattern: durationPattern.replace(/\$$/, '?$'),
    examples: ['30s', '30000'],
    description: 'With `index`: answer after this long at the latest. Default 5m, at most 10m.',
  },
  names,
})

export const chosenQuery = optional({ version, tag, zone, names })

export const servicesQuery = optional({
  after: {
    type: 'string',
    description: 'The service that the page begins after: `next` of the page before.',
  },
  limit: { type: 'integer', minimum: 1, maximum: requestLimits.servicesPage, description: 'Default 100.' },
  names,
})

export const watchQuery = optional({
  service: {
    type: 'array',
    items: text,
    description:
      'A service to watch: `api`, or `namespace/api`, each part percent-encoded before they are joined. Repeat it for several; without it, everything is watched.',
  },
})

const prefix = bytes(limits.itemKeyBytes, 'What the keys begin with; default all.')

export const itemsQuery = optional({
  prefix,
  after: { type: 'string', description: 'The key that the page begins after: `next` of the page before.' },
  limit: { type: 'integer', minimum: 1, maximum: requestLimits.itemsPage, description: 'Default 100.' },
})

export const itemWatchQuery = optional({ prefix })

export const noQuery = optional({})

const port = { type: 'integer', minimum: 0, maximum: 65_535 } as const
const weight = { type: 'integer', minimum: 0, maximum: limits.weight } as const
const tags = {
  type: 'array',
  maxItems: limits.tags,
  items: { type: 'string' },
} as const
const pairs = { type: 'object', additionalProperties: { type: 'string' } } as const

const check = {
  type: 'object',
  required: ['type'],
  additionalProperties: false,
  description:
    'Looks at the instance at intervals. `http` takes `url`, `method` and `headers`; `tcp` takes `target`; `grpc` takes `target`, `service` and `tls`; `command` takes `command`, and is off unless the server allows it. `reported` is not run: its results are reported by others, and it turns critical `ttl` after the last one.',
  properties: {
    id: { type: 'string', description: 'Unique in the instance. Default the type.' },
    type: { type: 'string', enum: ['http', 'tcp', 'grpc', 'command', 'reported'] },
    interval: { ...duration, description: 'Between two runs; default 10s, at least 1s.' },
    timeout: { ...duration, description: 'After which a run has failed; default the interval, at most 10s.' },
    initial: {
      type: 'string',
      enum: ['passing', 'warning', 'critical'],
      description: 'What it counts as until its first result. Default critical.',
    },
    ttl: {
      ...duration,
      description: 'Of `reported`: critical when nobody reports for so long. Default never.',
    },
    successThreshold: {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      description: 'Successes in a row to become passing. Default 1.',
    },
    failureThreshold: {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      description: 'Failures in a row to become critical. Default 1.',
    },
    deregisterAfter: {
      ...duration,
      description: 'Critical for this long without a break: deregistered. Default never.',
    },
    url: { type: 'string', description: 'Absolute, or from the instance: `/healthz`.' },
    method: { type: 'string', enum: ['GET', 'HEAD', 'OPTIONS', 'POST'], description: 'Default GET.' },
    headers: { ...pairs, description: 'Sent with the request.' },
    target: { type: 'string', description: '`host:port`; default the instance.' },
    service: { type: 'string', description: 'The gRPC service asked for; default the whole server.' },
    tls: { type: 'boolean', description: 'Default false.' },
    command: {
      type: 'array',
      items: text,
      maxItems: 64,
      description: 'The program and its arguments; no shell.',
    },
  },
} as const

const route = {
  type: 'object',
  additionalProperties: false,
  description: 'How gateways expose it. Default not at all.',
  properties: {
    host: {
      type: 'string',
      description: 'The host asked for: `shop.example`, or `*.example` for all below it. Default any.',
    },
    path: { type: 'string', description: 'What the path begins with, in whole segments. Default `/`.' },
    rewrite: {
      type: 'string',
      description: 'What takes the place of `path` on the way to the instance: `/` strips it.',
    },
    methods: { type: 'array', maxItems: limits.routeMethods, items: text, description: 'Default all.' },
    roles: {
      type: 'array',
      maxItems: limits.routeRoles,
      items: text,
      description: 'Roles one of which the token of the caller must have. Default: no token is asked for.',
    },
    timeout: { ...duration, description: 'Until an answer must have begun. Default the one of the gateway.' },
    retries: {
      type: 'integer',
      minimum: 0,
      maximum: 9,
      description: 'Further tries at other instances. Default those of the gateway.',
    },
    priority: {
      type: 'integer',
      minimum: -1_000,
      maximum: 1_000,
      description: 'Higher ones are looked at first. Default 0.',
    },
  },
} as const

export const registrationBody = {
  type: 'object',
  required: ['port'],
  additionalProperties: false,
  properties: {
    address: bytes(limits.addressBytes, 'An IP address or a host name. Default the address of the caller.'),
    port: { ...port, description: '1–65535; 0, for none, only with `names=any`.' },
    scheme: bytes(limits.schemeBytes, '`http`, `https`, `grpc`, `tcp`, … Default `http`.'),
    version: bytes(limits.versionBytes, 'A semantic version, such as `2.1.0`.'),
    zone: bytes(limits.zoneBytes, 'Where it runs.'),
    weight: { ...weight, description: 'Its share of the requests. Default 1.' },
    tags: { ...tags, description: `Each at most ${limits.tagBytes} bytes.` },
    metadata: {
      ...pairs,
      description: `At most ${limits.metadataPairs} pairs; keys at most ${limits.metadataKeyBytes} bytes, values ${limits.metadataValueBytes}.`,
    },
    checks: { type: 'array', maxItems: limits.checks, items: check },
    route,
    ttl: {
      ...duration,
      type: ['integer', 'string', 'null'],
      description:
        'How long the instance stays after its last renewal, at most 24h. Default: until it is deregistered.',
    },
  },
  examples: [{ port: 3000, version: '2.1.0', tags: ['blue'], ttl: '10s' }],
} as const

export const maintenanceBody = {
  type: 'object',
  required: ['enable'],
  additionalProperties: false,
  properties: {
    enable: { type: 'boolean' },
    reason: bytes(limits.outputBytes, 'For people.'),
  },
  examples: [{ enable: true, reason: 'replacing the disk' }],
} as const

export const healthBody = {
  type: 'object',
  required: ['checks'],
  additionalProperties: false,
  properties: {
    checks: {
      type: 'array',
      minItems: 1,
      maxItems: requestLimits.reports,
      items: {
        type: 'object',
        required: ['id', 'status'],
        additionalProperties: false,
        properties: {
          id: bytes(limits.nameBytes, 'The id of the check.'),
          status: {
            type: ['string', 'null'],
            enum: [...healthStatuses, null],
            description: '`null` withdraws the result.',
          },
          output: {
            type: 'string',
            description: `For people; the first ${limits.outputBytes} bytes are kept.`,
          },
        },
      },
    },
  },
  examples: [{ checks: [{ id: 'disk', status: 'warning', output: '91 % full' }] }],
} as const

export const tokenBody = {
  type: 'object',
  required: ['token'],
  additionalProperties: false,
  properties: {
    token: { type: 'string', minLength: 1, maxLength: 1_024, description: "The lease's token." },
  },
  examples: [{ token: 'Zm9yIGV4YW1wbGUgb25seQ' }],
} as const

export const tokensBody = {
  type: 'object',
  required: ['tokens'],
  additionalProperties: false,
  properties: { tokens: { type: 'array', minItems: 1, maxItems: requestLimits.renewTokens, items: text } },
  examples: [{ tokens: ['Zm9yIGV4YW1wbGUgb25seQ'] }],
} as const

export const presenceBody = {
  type: 'object',
  required: ['client', 'tokens'],
  additionalProperties: false,
  properties: {
    client: {
      type: 'string',
      pattern: '^[A-Za-z0-9_-]{16,64}$',
      description: 'What the client calls itself on all its streams: random, and nobody else’s.',
    },
    tokens: {
      type: 'array',
      minItems: 1,
      maxItems: requestLimits.presenceTokens,
      items: { type: 'string', minLength: 1, maxLength: 1_024 },
      description: 'The tokens of all leases that end with the client.',
    },
  },
  examples: [{ client: '5f0c2d7e11aa9b3c', tokens: ['Zm9yIGV4YW1wbGUgb25seQ'] }],
} as const

export const writeBody = {
  type: 'object',
  required: ['operations'],
  additionalProperties: false,
  properties: {
    operations: {
      type: 'array',
      maxItems: limits.writeOperations,
      description: `With at most ${limits.writeBytes} bytes in all values.`,
      items: {
        type: 'object',
        required: ['type', 'key'],
        additionalProperties: false,
        properties: {
          type: {
            type: 'string',
            enum: ['put', 'delete', 'check'],
            description: '`delete` removes the item, if there is one; `check` only compares.',
          },
          key: bytes(limits.itemKeyBytes, 'Without control characters.'),
          value: {
            type: 'string',
            pattern: '^[A-Za-z0-9+/]*={0,2}$',
            examples: ['aGVsbG8='],
            description: 'Of a `put`: the bytes, in base64.',
          },
          at: {
            type: 'integer',
            minimum: 0,
            maximum: Number.MAX_SAFE_INTEGER,
            description:
              'Compares: the `modifiedRevision` that the item must have; 0: there must be none. A `check` needs it.',
          },
        },
      },
    },
  },
  examples: [{ operations: [{ type: 'put', key: 'greetings/en', value: 'aGVsbG8=', at: 0 }] }],
} as const

// Answers. They document; nothing is rewritten to fit them.

const revision = {
  type: 'integer',
  description: 'A moment of the registry; it only grows within an epoch.',
} as const
const orNull = (schema: { readonly type: string }) => ({ ...schema, type: [schema.type, 'null'] })

export const sharedSchemas = [
  {
    $id: 'Entry',
    ...object(
      {
        namespace: text,
        service: text,
        id: text,
        address: text,
        port,
        scheme: text,
        version: text,
        zone: text,
        weight,
        tags,
        metadata: pairs,
        checks: { type: 'array', items: { type: 'object' } },
        route,
        health: object({
          status: { type: 'string', enum: [...healthStatuses] },
          checks: {
            type: 'array',
            items: object({ id: text, status: { type: 'string', enum: [...healthStatuses] }, output: text }),
          },
        }),
        createdRevision: revision,
        modifiedRevision: revision,
      },
      ['version', 'zone', 'route'],
    ),
  },
  {
    $id: 'Holder',
    ...object({
      namespace: text,
      service: text,
      id: text,
      name: text,
      fence: { ...revision, description: 'It grows with every new holder.' },
    }),
  },
  {
    $id: 'Error',
    ...object({
      error: {
        type: 'object',
        required: ['code', 'message'],
        properties: {
          code: text,
          message: text,
          field: { type: 'string', description: 'What was wrong, as a path: `tags/3`, `checks/0/interval`.' },
          details: { type: 'object' },
        },
      },
    }),
  },
] as const

const entry = { $ref: 'Entry#' } as const
const holder = { $ref: 'Holder#' } as const
const time = {
  type: ['integer', 'null'],
  description: 'Milliseconds since 1970 when the engine was lost; null while in contact.',
} as const
const count = { type: 'integer', minimum: 0 } as const

export const answers = {
  registered: object({
    instance: entry,
    lease: object({
      token: { type: 'string', description: 'Whoever has it may renew: keep it secret.' },
      ttl: orNull(count),
    }),
    revision,
  }),
  instance: object({ instance: entry }),
  revision: object({ revision }),
  released: object({ revision: { ...orNull(count), description: 'Null: it was lost already.' } }),
  renewed: object({
    lost: { type: 'array', items: count, description: 'Which of the tokens, counted from 0, are lost.' },
  }),
  resumed: object({
    key: object({ namespace: text, service: text, id: text }),
    ttl: orNull(count),
    revision,
  }),
  claimed: object({ holder, revision }),
  namespaces: object({
    namespaces: { type: 'array', items: object({ namespace: text, services: count, instances: count }) },
  }),
  services: object({
    services: {
      type: 'array',
      items: object({
        service: text,
        instances: count,
        passing: count,
        warning: count,
        critical: count,
        maintenance: count,
        versions: { type: 'array', items: text },
        tags: { type: 'array', items: text },
      }),
    },
    next: orNull(text),
  }),
  service: object({
    namespace: text,
    service: text,
    revision,
    instances: { type: 'array', items: entry },
    holders: { type: 'array', items: holder },
    next: orNull(text),
    staleSince: time,
  }),
  items: object({
    items: {
      type: 'array',
      items: object({
        key: text,
        value: { type: 'string', description: 'The bytes, in base64.' },
        createdRevision: revision,
        modifiedRevision: revision,
      }),
    },
    next: orNull(text),
    revision,
    staleSince: time,
  }),
  status: object({
    version: text,
    epoch: text,
    engine: text,
    terms: object({ minimumTtl: count, lateness: count }),
    revision,
    staleSince: time,
    services: count,
    instances: count,
  }),
} as const

/** The answers of a route: its own, and the error it may give instead. */
export function responses(
  own: Readonly<Record<string, { readonly description: string; readonly schema?: object }>>,
) {
  const described = Object.entries(own).map(([status, { description, schema }]) => [
    status,
    { description, ...(schema !== undefined && { content: { 'application/json': { schema } } }) },
  ])
  return {
    ...Object.fromEntries(described),
    default: {
      description: 'What went wrong.',
      content: { 'application/json': { schema: { $ref: 'Error#' } } },
    },
  }
}

/** Of the routes that answer with events, for as long as somebody listens. */
export const eventStream = {
  ...responses({}),
  200: { description: 'The events.', content: { 'text/event-stream': { schema: { type: 'string' } } } },
}

/** An object of which all fields but the named are there, and no others. */
function object<const P extends Record<string, unknown>>(
  properties: P,
  missing: readonly (keyof P & string)[] = [],
) {
  const required = Object.keys(properties).filter((name) => !missing.includes(name))
  return { type: 'object', required, additionalProperties: false, properties } as const
}

function optional<const P extends Record<string, unknown>>(properties: P) {
  return { type: 'object', additionalProperties: false, properties } as const
}
