import {
  type Catalog,
  catalog,
  changedService,
  displayName,
  type ServiceKey,
  serviceId,
  systemClock,
  watchingCatalog,
} from '@seamark/core'
import { hostPort } from '../address.ts'
import { api } from '../api.ts'
import { ChangeLog, type LoggedChange } from '../change-log.ts'
import { command } from '../command.ts'
import { Contact } from '../contact.ts'
import { interruption } from '../interruption.ts'
import { client, everywhere } from '../options.ts'
import type { Output } from '../output.ts'
import { type Colour, healthColour } from '../paint.ts'
import { type Cell, line } from '../table.ts'

export const watch = command({
  name: 'watch',
  summary: 'print what changes, as it happens, until Ctrl-C',
  description:
    'Begins with what is there. When the server goes away it says so, waits for it, and then prints what changed meanwhile.',
  arguments: [{ syntax: '[services...]', help: 'the services; default all of the namespace' }],
  options: { ...client, ...everywhere },
  examples: [
    { line: 'seamark watch', does: 'everything in the namespace' },
    { line: 'seamark watch api www', does: 'two services' },
    {
      line: 'seamark watch api --json | jq -r \'select(.change == "removed").id\'',
      does: 'one JSON document per line',
    },
  ],
  async run({ settings: { url, namespace }, arguments: names, output }) {
    // What is wrong from the start is an error; what breaks later is waited for.
    await api(url).get('/status')
    const { http } = await import('@seamark/client')
    const services = names.map((service) => ({ namespace, service: service! }))
    using stop = interruption()
    await using server = http(url)
    await using contact = new Contact(server, output)
    await using replica =
      services.length === 0 ? catalog(contact) : watchingCatalog(contact, { protectEmpty: false })
    await Promise.race([follow(replica, namespace, services, output, stop.signal), contact.refused])
    await stop.arrived
    return undefined
  },
})

/** Prints each change. Resolves once what is there has been told, or with the signal. */
async function follow(
  replica: Catalog,
  namespace: string,
  services: readonly ServiceKey[],
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const everything = services.length === 0
  const log = new ChangeLog()
  const begun = new Set<string>()
  let warm = false
  if (!output.json) output.print(line(columns, widths, titles, output.paint))
  replica.subscribe(({ changes }) => {
    for (const change of changes) {
      const service = changedService(change)
      if (service.namespace !== namespace) continue
      const logged = log.read(change, everything ? warm : begun.has(serviceId(service)))
      if (output.json) output.document(document(logged))
      else output.print(line(columns, widths, row(logged), output.paint))
    }
  })
  const beginning = everything
    ? replica.warm(signal).then(() => {
        warm = true
      })
    : Promise.all(
        services.map(async (service) => {
          await replica.ready(service, signal)
          begun.add(serviceId(service))
        }),
      )
  await beginning.catch((error) => {
    if (!signal.aborted) throw error
  })
}

const columns = [
  { title: 'TIME', width: 8 },
  { title: 'CHANGE', width: 10 },
  { title: 'INSTANCE', width: 28 },
  { title: 'ADDRESS', width: 21 },
  { title: 'HEALTH' },
]
const widths = columns.map(({ title, width = title.length }) => width)
const titles = columns.map(({ title }) => ['dim', title] as const)

const colours: Readonly<Record<LoggedChange['change'], Colour>> = {
  present: 'dim',
  registered: 'green',
  updated: 'bold',
  health: 'bold',
  removed: 'red',
  claimed: 'blue',
  released: 'blue',
}

function row({ change, key, entry, before, claim }: LoggedChange): readonly Cell[] {
  const time = new Date(systemClock.date()).toTimeString().slice(0, 8)
  const what: readonly Cell[] = [time, [colours[change], change], displayName(key)]
  if (claim !== undefined) return [...what, `claim ${claim}`]
  if (entry === undefined) return what
  const { status, checks } = entry.health
  if (change === 'removed') return [...what, hostPort(entry.instance)]
  const why = checks.find((check) => check.status === status && status !== 'passing')
  const from = before === undefined ? '' : `${before} → `
  return [
    ...what,
    hostPort(entry.instance),
    [healthColour[status], `${from}${status}${why ? ` (${why.id}: ${why.output.slice(0, 120)})` : ''}`],
  ]
}

function document({ change, key, entry, before, claim }: LoggedChange): Record<string, unknown> {
  return {
    time: new Date(systemClock.date()).toISOString(),
    change,
    ...key,
    ...(claim !== undefined && { claim }),
    ...(before !== undefined && { before }),
    ...(entry !== undefined && {
      instance: {
        ...entry.instance,
        health: entry.health,
        createdRevision: entry.createdRevision,
        modifiedRevision: entry.modifiedRevision,
      },
    }),
  }
}
