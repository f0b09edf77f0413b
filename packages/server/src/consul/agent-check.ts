import { limits, maintenanceCheck } from '@seamark/core'
import { enabled } from './agent-service.ts'
import { ConsulError, doneAnswer, jsonAnswer } from './answer.ts'
import type { Ask } from './ask.ts'
import { decoded, object, text } from './body.ts'
import type { ConsulCheck } from './check.ts'
import { ownCheck, statuses, translatedCheck, validateCheck } from './check-definition.ts'
import type { Endpoint, Endpoints } from './endpoint.ts'
import { type Filter, filterFor } from './filter/filter.ts'
import { shapes } from './filter/shape.ts'
import { agentCheckJson } from './json.ts'
import { namespaceOf } from './reads.ts'
import { nodeKey } from './record.ts'
import { sorted } from './sorted.ts'
import type { Renewal } from './writer.ts'

type Status = Renewal['status']

const update = object({ Status: text, Output: text }, { struct: 'checkUpdate', strict: true })

/** The checks of the agent, of its services and its own. */
export const agentCheck: Endpoints = (context) => {
  const { view, writer } = context

  const reported = (path: string, status: Status): Endpoint => ({
    path,
    methods: ['PUT'],
    answer: (ask) => renew(ask, status, ask.get('note')),
  })

  async function renew(ask: Ask, status: Status, output: string) {
    const check = view.agentCheck(namespaceOf(ask), ask.rest)
    const ttl = check && ttlOf(check)
    if (check?.source === undefined || ttl === undefined)
      throw new ConsulError(500, `CheckID ${JSON.stringify(ask.rest)} does not have associated TTL`)
    const { key, check: id } = check.source
    await writer.renew(key, id, { status, output: shortened(output), ttl })
    return doneAnswer()
  }

  /** Milliseconds in which the check has to be reported, wherever it was registered. */
  function ttlOf({ record, source }: ConsulCheck): number | undefined {
    const checks = source && context.server.catalog.entry(source.key)?.instance.checks
    const check = checks?.find(({ id }) => id === source?.check)
    return record?.ttl ?? (check?.type === 'reported' ? check.ttl : undefined)
  }

  return [
    {
      path: '/v1/agent/checks',
      methods: ['GET'],
      answer(ask) {
        const filter = ownFilter(ask)
        const own = view.nodes.list().flatMap(({ server, checks }) => (server === undefined ? [] : checks))
        // Whether the agent is alive is for the others to say.
        const found: ConsulCheck[] = own.filter(({ id }) => id !== 'serfHealth')
        for (const { checks } of view.agentServices(namespaceOf(ask))) found.push(...checks)
        const shown = found
          .map((check) => [check.id, agentCheckJson(check)] as const)
          .filter(([, json]) => filter(json))
        return jsonAnswer(ask, sorted(Object.fromEntries(shown)))
      },
    },
    {
      path: '/v1/agent/check/register',
      methods: ['PUT'],
      async answer(ask) {
        const definition = decoded(ask, ownCheck)
        if (!definition.Name) throw new ConsulError(400, 'Missing check name')
        if (definition.Status && !statuses.has(definition.Status))
          throw new ConsulError(400, 'Bad check status')
        validateCheck(definition)
        const { ServiceID: id = '' } = definition
        const namespace = namespaceOf(ask)
        const name = definition.Name
        const { checkPolicy } = context.server
        const { check, record } = translatedCheck(definition, definition.ID || name, name, checkPolicy)
        const added = { ...check, id: check.id! }
        if (id === '') {
          const { own } = view.nodes
          await writer.inTurn(nodeKey(own.name), async () => {
            const node = writer.nodeInput(own)
            await writer.putCheck(node.input, node.record, added, record)
          })
          await writer.displace(namespace, [added.id])
          return doneAnswer()
        }
        await writer.inTurn({ namespace, id }, async () => {
          const service = view.agentService(namespace, id)
          if (service === undefined)
            throw new ConsulError(500, `ServiceID ${JSON.stringify(id)} does not exist`)
          const known = service.record ?? { node: service.node.name, ...shown(service.taggedAddresses) }
          await writer.putCheck(service.entry!.instance, known, added, record)
        })
        await writer.displace(namespace, [added.id])
        return doneAnswer()
      },
    },
    {
      path: '/v1/agent/check/deregister/',
      methods: ['PUT'],
      async answer(ask) {
        if (ask.rest === '') throw new ConsulError(500, 'CheckID missing')
        const source = view.agentCheck(namespaceOf(ask), ask.rest)?.source
        if (source !== undefined)
          await writer.inTurn(source.key, () => writer.removeCheck(source.key, source.check))
        return doneAnswer()
      },
    },
    reported('/v1/agent/check/pass/', 'passing'),
    reported('/v1/agent/check/warn/', 'warning'),
    reported('/v1/agent/check/fail/', 'critical'),
    {
      path: '/v1/agent/check/update/',
      methods: ['PUT'],
      answer(ask) {
        const { Status: status = '', Output: output = '' } = decoded(ask, update)
        if (!statuses.has(status)) throw new ConsulError(400, `Invalid check status: '${status}'`)
        return renew(ask, status as Status, output)
      },
    },
    {
      path: '/v1/agent/maintenance',
      methods: ['PUT'],
      async answer(ask) {
        const enable = enabled(ask)
        const { own } = view.nodes
        const key = nodeKey(own.name)
        await writer.inTurn(key, async () => {
          const isOn = own.checks.some(({ id }) => id === '_node_maintenance')
          if (enable === isOn) return
          if (enable) {
            const { input, record } = writer.nodeInput(own)
            await writer.register(input, record, [])
          }
          await writer.report(key, [
            { id: maintenanceCheck, status: enable ? 'maintenance' : null, output: ask.get('reason') },
          ])
          await writer.tidyNode(key)
        })
        return doneAnswer()
      },
    },
  ]
}

/** Of what its checks are, Consul's agent says less when a filter asks for something else. */
function ownFilter(ask: Ask): Filter {
  try {
    return filterFor(ask.get('filter'), shapes.check)
  } catch (error) {
    if (!(error instanceof ConsulError)) throw error
    throw new ConsulError(
      error.status,
      error.message.replace(/^.*evaluator: (?=Selector|Invalid|Failed to c)/, ''),
    )
  }
}

function shown(taggedAddresses: object | undefined): object {
  return taggedAddresses === undefined ? {} : { taggedAddresses }
}

/** Consul says in the output how much of it there was. */
function shortened(output: string): string {
  const bytes = Buffer.byteLength(output)
  if (bytes <= limits.outputBytes) return output
  const note = ` ... (captured ${limits.outputBytes} of ${bytes} bytes)`
  const room = limits.outputBytes - Buffer.byteLength(note)
  return new TextDecoder().decode(Buffer.from(output).subarray(0, room), { stream: true }) + note
}
