import { createHash, randomUUID } from 'node:crypto'
import { RE2JS } from 're2js'
import { ConsulError, jsonAnswer } from './answer.ts'
import { knownDatacenter, waitOf } from './blocking.ts'
import type { Endpoints } from './endpoint.ts'
import { decodedItem, encoded } from './record.ts'

/** An event as Consul prints it. */
interface UserEvent {
  readonly ID: string
  readonly Name: string
  readonly Payload: string | null
  readonly NodeFilter: string
  readonly ServiceFilter: string
  readonly TagFilter: string
  readonly Version: number
  readonly LTime: number
}

const prefix = 'consul/event/'

/** Consul's agents remember as many (`agent/agent.go`). */
const remembered = 256

/** Bytes; those of Consul's gossip message, roughly. */
const longest = 512

/** Events that somebody fires for whoever looks. They are remembered, not delivered: there are no agents elsewhere. */
export const event: Endpoints = (context) => {
  const { items, server, topics, itemsVisible } = context
  const topic = 'events'
  let listening = false

  /** From the oldest to the newest. */
  function events(): UserEvent[] {
    return items.list(prefix).map((item) => ({
      ...decodedItem<UserEvent>(item)!,
      LTime: item.modifiedRevision,
    }))
  }

  return [
    {
      path: '/v1/event/fire/',
      methods: ['PUT'],
      async answer(ask) {
        knownDatacenter(context, ask)
        if (ask.rest === '') throw new ConsulError(400, 'Missing name')
        if (ask.body.length > longest) throw new ConsulError(413, `Payload is larger than ${longest} bytes`)
        if (ask.has('tag') && !ask.has('service'))
          throw new ConsulError(500, 'Cannot provide tag filter without service filter')
        for (const filter of ['node', 'service', 'tag']) refuseFilter(filter, ask.get(filter))
        const fired: UserEvent = {
          ID: randomUUID(),
          Name: ask.rest,
          Payload: ask.body.length === 0 ? null : ask.body.toString('base64'),
          NodeFilter: ask.get('node'),
          ServiceFilter: ask.get('service'),
          TagFilter: ask.get('tag'),
          Version: 1,
          LTime: 0,
        }
        const all = items.list(prefix)
        const forgotten = all.slice(0, Math.min(Math.max(0, all.length + 1 - remembered), 60))
        // Keys in the order in which they were fired.
        const key = `${prefix}${String(server.clock.date()).padStart(16, '0')}-${fired.ID}`
        const revision = await server.engine.write([
          { type: 'put', key, value: encoded(fired) },
          ...forgotten.map(({ key }) => ({ type: 'delete', key }) as const),
        ])
        await itemsVisible(revision ?? 0)
        return jsonAnswer(ask, fired)
      },
    },
    {
      path: '/v1/event/list',
      methods: ['GET'],
      async answer(ask) {
        if (!listening) {
          listening = true
          items.subscribe(({ changes }) => {
            if (
              changes.some((change) =>
                (change.type === 'put' ? change.item.key : change.key).startsWith(prefix),
              )
            )
              topics.wake(topic)
          })
        }
        const asked = ask.get('index')
        const { wait } = waitOf(ask)
        const look = () => {
          const found = events().filter(({ Name }) => !ask.has('name') || Name === ask.get('name'))
          return { found, index: indexOf(found) }
        }
        let seen = look()
        if (asked !== '' && asked !== '0' && seen.index === asked) {
          await topics.until([topic], () => look().index !== asked, wait, ask.closed)
          seen = look()
        }
        return jsonAnswer(ask, seen.found, { 'X-Consul-Index': seen.index })
      },
    },
  ]
}

function refuseFilter(name: string, expression: string): void {
  try {
    RE2JS.compile(expression)
  } catch (cause) {
    throw new ConsulError(500, `Invalid ${name} filter: ${(cause as Error).message}`)
  }
}

/** Consul's is made of the last event's id, too: 64 bits that only say whether something is new. */
function indexOf(events: readonly UserEvent[]): string {
  const last = events.at(-1)
  if (last === undefined) return '1'
  // Of 52 bits: also clients that keep numbers as JavaScript does tell them apart.
  return String(Number.parseInt(createHash('sha256').update(last.ID).digest('hex').slice(0, 13), 16) || 1)
}
