import { randomUUID } from 'node:crypto'
import { type ConsulAnswer, ConsulError, jsonAnswer } from '../answer.ts'
import type { Ask } from '../ask.ts'
import { blocking, knownDatacenter, plainHeaders, reading } from '../blocking.ts'
import { anything, decoded, list, object, text } from '../body.ts'
import type { ConsulContext } from '../context.ts'
import type { Endpoint } from '../endpoint.ts'
import { goDuration } from '../go-duration.ts'
import { uuidProblem } from '../kv/verbs.ts'
import { type Session, sessionJson } from './session-item.ts'
import { type Sessions, sessionsTopic, sessionTopic } from './sessions.ts'

/** Milliseconds; Consul's (`session_ttl_min`, `agent/structs`). */
const ttls = { shortest: 10_000, longest: 86_400_000 }

/** Nanoseconds; Consul's. */
const defaultLockDelay = 15e9

/** Consul's own: people write 5 and mean seconds, so that less than this many nanoseconds are taken for seconds. */
const meantAsSeconds = 1_000

const serfHealth = 'serfHealth'

/** Sessions, which hold locks. */
export function session(context: ConsulContext, sessions: Sessions): readonly Endpoint[] {
  return [
    { path: '/v1/session/create', methods: ['PUT'], answer: create },
    { path: '/v1/session/destroy/', methods: ['PUT'], answer: destroy },
    { path: '/v1/session/renew/', methods: ['PUT'], answer: renew },
    { path: '/v1/session/info/', methods: ['GET'], answer: info },
    { path: '/v1/session/node/', methods: ['GET'], answer: ofNode },
    { path: '/v1/session/list', methods: ['GET'], answer: all },
  ]

  async function create(ask: Ask): Promise<ConsulAnswer> {
    knownDatacenter(context, ask)
    const session = wanted(ask, context.settings.nodeName)
    await sessions.create(session)
    return jsonAnswer(ask, { ID: session.ID })
  }

  async function destroy(ask: Ask): Promise<ConsulAnswer> {
    knownDatacenter(context, ask)
    await sessions.end(idOf(ask))
    return jsonAnswer(ask, true)
  }

  async function renew(ask: Ask): Promise<ConsulAnswer> {
    reading(context, ask)
    const id = idOf(ask)
    const found = await sessions.renew(id)
    if (found === undefined) throw new ConsulError(404, `Session id '${id}' not found`)
    return jsonAnswer(ask, [sessionJson(found.item, found.session)])
  }

  async function info(ask: Ask): Promise<ConsulAnswer> {
    const asked = reading(context, ask)
    const id = idOf(ask)
    const { index, value } = await blocking(context, ask, asked, [sessionTopic(id)], () => ({
      index: sessions.indexOf(id),
      value: [sessions.get(id) ?? []].flat(),
    }))
    return listAnswer(ask, value, plainHeaders(context, asked, index))
  }

  async function ofNode(ask: Ask): Promise<ConsulAnswer> {
    const asked = reading(context, ask)
    const node = ask.rest.toLowerCase()
    if (node === '') throw new ConsulError(400, 'Missing node name')
    return listed(ask, asked, ({ Node }) => Node.toLowerCase() === node)
  }

  async function all(ask: Ask): Promise<ConsulAnswer> {
    return listed(ask, reading(context, ask), () => true)
  }

  async function listed(
    ask: Ask,
    asked: ReturnType<typeof reading>,
    fits: (session: Session) => boolean,
  ): Promise<ConsulAnswer> {
    const { index, value } = await blocking(context, ask, asked, [sessionsTopic], () => ({
      index: sessions.index,
      value: sessions.list().filter(({ session }) => fits(session)),
    }))
    return listAnswer(ask, value, plainHeaders(context, asked, index))
  }
}

function listAnswer(
  ask: Ask,
  found: ReturnType<Sessions['list']>,
  headers: Record<string, string>,
): ConsulAnswer {
  return jsonAnswer(
    ask,
    found.map(({ item, session }) => sessionJson(item, session)),
    headers,
  )
}

function idOf({ rest: id }: Ask): string {
  if (id === '') throw new ConsulError(400, 'Missing session')
  const problem = uuidProblem(id)
  if (problem !== undefined) throw new ConsulError(500, `failed session lookup: index error: ${problem}`)
  return id
}

const serviceCheck = object<{ ID: string; Namespace: string }>(
  { ID: text, Namespace: text },
  { struct: 'structs.ServiceCheck' },
)

const shape = object<{
  Name: string
  Node: string
  LockDelay: unknown
  Behavior: string
  TTL: string
  Checks: string[] | null
  NodeChecks: string[] | null
  ServiceChecks: Partial<{ ID: string; Namespace: string }>[]
}>({
  Name: text,
  Node: text,
  LockDelay: anything,
  Behavior: text,
  TTL: text,
  Checks: list(text),
  NodeChecks: list(text),
  ServiceChecks: list(serviceCheck, '[]structs.ServiceCheck'),
})

/** Throws in Consul's words. */
function wanted(ask: Ask, ownNode: string): Session {
  const body = ask.body.length === 0 ? {} : decoded(ask, shape)
  const { Name = '', Node = ownNode, Behavior = '', TTL = '', Checks } = body
  if (Node === '') throw new ConsulError(500, 'Must provide Node')
  const LockDelay = lockDelay(body.LockDelay)
  if (Behavior !== '' && Behavior !== 'release' && Behavior !== 'delete')
    throw new ConsulError(500, `Invalid Behavior setting '${Behavior}'`)
  checkTtl(TTL)
  const none = isGivenEmpty(ask, 'checks') || Checks?.length === 0
  const onlyDefault = Checks === undefined || none || (Checks?.length === 1 && Checks[0] === serfHealth)
  return {
    ID: randomUUID(),
    Name,
    Node,
    LockDelay,
    Behavior: Behavior === '' ? 'release' : Behavior,
    TTL,
    NodeChecks: none ? [] : isGivenEmpty(ask, 'nodechecks') ? null : (body.NodeChecks ?? [serfHealth]),
    ServiceChecks: body.ServiceChecks?.map(({ ID = '', Namespace = '' }) => ({ ID, Namespace })) ?? null,
    ...(!onlyDefault && { Checks: Checks! }),
  }
}

/** Whether the body has this field as `null`: that takes the default away. */
function isGivenEmpty({ body }: Ask, field: string): boolean {
  if (body.length === 0) return false
  const value = JSON.parse(body.toString()) as Record<string, unknown> | null
  return Object.entries(value ?? {}).some(([name, inner]) => name.toLowerCase() === field && inner === null)
}

function checkTtl(asked: string): void {
  if (asked === '') return
  const ttl = goDuration(asked)
  if (ttl === undefined)
    throw new ConsulError(500, `Session TTL '${asked}' invalid: time: invalid duration "${asked}"`)
  if (ttl !== 0 && (ttl < ttls.shortest || ttl > ttls.longest))
    throw new ConsulError(
      500,
      `Invalid Session TTL '${Math.round(ttl * 1e6)}', must be between [10s=24h0m0s]`,
    )
}

/** Nanoseconds. */
function lockDelay(asked: unknown): number {
  if (asked === undefined) return defaultLockDelay
  const nanoseconds = typeof asked === 'string' ? parsedDelay(asked) : Math.trunc(Number(asked))
  if (!Number.isFinite(nanoseconds)) return defaultLockDelay
  return nanoseconds < meantAsSeconds ? nanoseconds * 1e9 : nanoseconds
}

function parsedDelay(asked: string): number {
  const delay = goDuration(asked)
  if (delay === undefined) {
    const problem = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(asked) ? 'missing unit in' : 'invalid'
    throw new ConsulError(400, `Request decode failed: time: ${problem} duration "${asked}"`)
  }
  return Math.round(delay * 1e6)
}
