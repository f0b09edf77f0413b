import { hostPort } from '../address.ts'
import { api, servicePath } from '../api.ts'
import { command } from '../command.ts'
import type { EntryDocument, ServiceDocument } from '../documents.ts'
import { missingService } from '../missing-service.ts'
import * as options from '../options.ts'
import { healthColour } from '../paint.ts'
import type { Cell } from '../table.ts'

export const instances = command({
  name: 'instances',
  summary: 'list the instances of a service',
  description:
    'Filters narrow the list: an instance must fit all of them, and have one of the healths asked for.',
  arguments: [{ syntax: '<service>', help: 'the service' }],
  options: { ...options.instances, ...options.client, ...options.everywhere },
  examples: [
    { line: 'seamark instances api', does: 'all instances, and what their checks say' },
    { line: "seamark instances api --version '^2.1' --tag blue", does: 'those of a version with a tag' },
    { line: 'seamark instances api --health critical --health warning', does: 'those in trouble' },
  ],
  async run({ settings, arguments: [service], output }) {
    const key = { namespace: settings.namespace, service: service! }
    const server = api(settings.url)
    const filters = {
      version: settings.version,
      tag: settings.tag,
      zone: settings.zone,
      health: settings.health,
      metadata: Object.entries(settings.meta).map(([name, value]) => `${name}:${value}`),
    }
    const all: EntryDocument[] = []
    let page: ServiceDocument
    let after: string | undefined
    do {
      page = await server.get<ServiceDocument>(servicePath(key), { ...filters, limit: 10_000, after })
      all.push(...page.instances)
      after = page.next ?? undefined
    } while (after !== undefined)
    if (all.length === 0) {
      const { instances } = await server.get<ServiceDocument>(servicePath(key), { limit: 1 })
      if (instances.length === 0) throw await missingService(server, key)
    }
    const { revision, holders, staleSince } = page
    if (output.json) output.document({ ...key, revision, instances: all, holders, staleSince })
    else if (all.length === 0)
      output.remark(`No instance of ${key.service} fits; without filters: seamark instances ${key.service}`)
    else output.table(columns, all.map(row))
    if (staleSince !== null)
      output.remark(
        `The server lost its engine at ${new Date(staleSince).toISOString()}: this may be out of date.`,
      )
    return undefined
  },
})

const columns = [
  { title: 'ID' },
  { title: 'ADDRESS' },
  { title: 'VERSION' },
  { title: 'ZONE' },
  { title: 'WEIGHT', align: 'right' },
  { title: 'TAGS' },
  { title: 'HEALTH' },
  { title: 'WHY' },
] as const

function row(entry: EntryDocument): readonly Cell[] {
  const { id, version = '', zone = '', weight, tags, health } = entry
  return [
    id,
    hostPort(entry),
    version,
    zone,
    String(weight),
    tags.join(' '),
    [healthColour[health.status], health.status],
    why(entry),
  ]
}

/** What the checks say that made the health what it is; nothing while all pass. */
function why({ health }: EntryDocument): string {
  if (health.status === 'passing') return ''
  return health.checks
    .filter(({ status }) => status === health.status)
    .map(({ id, output }) => (output === '' || id === output ? id : `${id}: ${output}`))
    .join('; ')
    .slice(0, 200)
}
