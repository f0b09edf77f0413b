import { type Api, api } from '../api.ts'
import { command } from '../command.ts'
import type { ServiceSummary } from '../documents.ts'
import { client, everywhere } from '../options.ts'
import { everyService } from '../service-list.ts'
import { type Cell, printable } from '../table.ts'

export const services = command({
  name: 'services',
  summary: 'list the services of a namespace',
  arguments: [],
  options: { ...client, ...everywhere },
  examples: [
    { line: 'seamark services', does: 'what there is, with the number of instances by health' },
    { line: 'seamark services --namespace test.shop', does: 'of another namespace' },
    { line: "seamark services --json | jq -r '.services[].service'", does: 'only their names' },
  ],
  async run({ settings: { url, namespace }, output }) {
    const server = api(url)
    const all = await everyService(server, namespace)
    if (output.json) output.document({ namespace, services: all })
    else if (all.length > 0) output.table(columns, all.map(row))
    else output.remark(await nothingHere(server, namespace))
    return undefined
  },
})

const columns = [
  { title: 'SERVICE' },
  { title: 'INSTANCES', align: 'right' },
  { title: 'PASSING', align: 'right' },
  { title: 'WARNING', align: 'right' },
  { title: 'CRITICAL', align: 'right' },
  { title: 'MAINTENANCE', align: 'right' },
  { title: 'VERSIONS' },
  { title: 'TAGS' },
] as const

function row(service: ServiceSummary): readonly Cell[] {
  const { passing, warning, critical, maintenance } = service
  return [
    service.service,
    String(service.instances),
    passing > 0 ? ['green', String(passing)] : '0',
    warning > 0 ? ['yellow', String(warning)] : '0',
    critical > 0 ? ['red', String(critical)] : '0',
    maintenance > 0 ? ['blue', String(maintenance)] : '0',
    service.versions.join(' '),
    service.tags.join(' '),
  ]
}

async function nothingHere(server: Api, namespace: string): Promise<string> {
  const { namespaces } = await server.get<{ namespaces: { namespace: string; services: number }[] }>(
    '/namespaces',
  )
  const others = namespaces.filter((other) => other.namespace !== namespace)
  if (others.length === 0) return 'No services yet. Register one: seamark register api --port 3000'
  const list = others.slice(0, 10).map((other) => `${other.namespace} (${other.services})`)
  return `No services in namespace ${printable(namespace)}. Others have some: ${list.join(', ')}.`
}
