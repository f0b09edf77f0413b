import { type Entry, type HealthStatus, healthStatuses, type ServiceKey, select } from '@seamark/core'
import type { Context, Routes } from './context.ts'
import { Memo } from './memo.ts'
import * as schemas from './schemas.ts'

interface TargetsQuery {
  namespace?: string[]
  service?: string[]
  tag?: string[]
  health?: HealthStatus[]
}

/** Seamark's own, which is shown to those who ask for it only. */
const ownNamespace = 'seamark'

const names = (description: string) => ({ type: 'array', items: { type: 'string' }, description }) as const

const query = {
  type: 'object',
  additionalProperties: false,
  properties: {
    namespace: names(
      `Repeat it for several. Default all but \`${ownNamespace}\`, the namespace of the servers.`,
    ),
    service: names('Repeat it for several. Default all.'),
    tag: names('A tag that targets must have; repeat it for several (all of them).'),
    health: {
      type: 'array',
      items: { type: 'string', enum: [...healthStatuses] },
      description:
        'A health that targets may have; repeat it for several. Default any: a target that is down is to be seen.',
    },
  },
} as const

const answer = {
  type: 'array',
  items: {
    type: 'object',
    required: ['targets', 'labels'],
    additionalProperties: false,
    properties: {
      targets: { type: 'array', items: { type: 'string' } },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
    },
  },
} as const

/** Instances as Prometheus's `http_sd_configs` asks for targets, one by one: each has labels of its own. */
export const prometheusTargets: Routes = (app, { context }, done) => {
  app.get<{ Querystring: TargetsQuery }>(
    '/prometheus',
    {
      schema: {
        tags: ['services'],
        summary: 'Targets for Prometheus',
        description: 'What `http_sd_configs` reads. Instances without a port are left out.',
        querystring: query,
        response: schemas.responses({ 200: { description: 'The targets.', schema: answer } }),
      },
    },
    async ({ query }, reply) => {
      const targets = chosen(context, query).map((entry) => jsons.get(entry))
      return reply.type('application/json; charset=utf-8').send(`[${targets.join(',')}]`)
    },
  )

  done()
}

function chosen({ catalog }: Context, { namespace, service, tag, health }: TargetsQuery): readonly Entry[] {
  const namespaces = namespace ?? catalog.namespaces().filter((name) => name !== ownNamespace)
  const services: readonly ServiceKey[] = namespaces.flatMap((name) =>
    catalog.services(name).filter((key) => service === undefined || service.includes(key.service)),
  )
  const selection = { tags: tag, health }
  return services
    .flatMap((key) => select(catalog.snapshot(key).entries, selection))
    .filter(({ instance }) => instance.port !== 0)
}

/** At most 16 Mi characters are remembered. */
const jsons = new Memo<Entry, string>(targetJson, 16_777_216)

function targetJson({ instance, health }: Entry): string {
  const { namespace, service, id, address, port, scheme, version, zone, tags, metadata } = instance
  const host = address.includes(':') ? `[${address}]` : address
  const meta = {
    namespace,
    service,
    id,
    health: health.status,
    scheme,
    version,
    zone,
    // Between commas, as those of Prometheus's own discoveries, so that ",blue," finds one of them.
    tags: tags.length > 0 ? `,${tags.join(',')},` : undefined,
  }
  const labels: Record<string, string | undefined> = {
    // Others, such as tcp, Prometheus does not speak.
    __scheme__: scheme === 'http' || scheme === 'https' ? scheme : undefined,
  }
  for (const [name, value] of Object.entries(meta)) labels[`__meta_seamark_${name}`] = value
  for (const [key, value] of Object.entries(metadata)) {
    const name = `__meta_seamark_metadata_${key.replace(/[^a-zA-Z0-9_]/g, '_')}`
    labels[name] ??= value
  }
  return JSON.stringify({ targets: [`${host}:${port}`], labels })
}
