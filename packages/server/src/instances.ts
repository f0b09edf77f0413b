import {
  type CheckInput,
  type CheckReport,
  checkName,
  type Duration,
  displayName,
  type InstanceInput,
  type InstanceKey,
  instance,
  invalidField,
  maintenanceCheck,
  milliseconds,
  registeredHealth,
  SeamarkError,
} from '@seamark/core'
import type { FastifyRequest } from 'fastify'
import { refuseChecks } from './checks/target-policy.ts'
import type { Routes } from './context.ts'
import { passingEntryJson } from './entry-json.ts'
import { checkNewService, checkPath } from './path-names.ts'
import { noteReports } from './reported-checks.ts'
import { Reservations } from './reservations.ts'
import * as schemas from './schemas.ts'

type Check = Omit<CheckInput, 'interval' | 'timeout' | 'deregisterAfter' | 'ttl'> & {
  readonly interval?: Duration
  readonly timeout?: Duration
  readonly deregisterAfter?: Duration
  readonly ttl?: Duration
}

interface Registration extends Omit<InstanceInput, keyof InstanceKey | 'address' | 'checks'> {
  readonly address?: string
  readonly checks?: readonly Check[]
  readonly ttl?: Duration | null
}

interface Named {
  Params: { namespace: string; service: string; id: string }
  Querystring: { names?: 'any' }
}

const url = '/namespaces/:namespace/services/:service/instances/:id'
const about = { params: schemas.instanceParams, querystring: schemas.namesQuery, tags: ['instances'] }

/** Registering, deregistering, and what is observed of one instance. */
export const instances: Routes = (app, { context }, done) => {
  const { engine, catalog, checkPolicy, visible } = context
  const reservations = new Reservations(catalog)

  app.put<Named & { Body: Registration }>(
    url,
    {
      schema: {
        ...about,
        summary: 'Register an instance, or replace it',
        description:
          'With a `ttl` it disappears unless its lease is renewed in time; without, it stays until it is deregistered. Registering again supersedes the former lease, and keeps the health.',
        body: schemas.registrationBody,
        response: schemas.responses({
          200: { description: 'Replaced.', schema: schemas.answers.registered },
          201: { description: 'Created.', schema: schemas.answers.registered },
        }),
      },
    },
    async (request, reply) => {
      const { ttl, ...fields } = request.body
      checkNewService(request.params, request.query.names)
      if (fields.port === 0 && request.query.names !== 'any')
        throw invalidField('port', 'must be a whole number from 1 to 65535')
      const value = instance({
        ...fields,
        ...request.params,
        address: fields.address ?? callerAddress(request),
        checks: fields.checks?.map(checkInput),
      })
      refuseChecks(value, checkPolicy)
      const options = ttl === undefined || ttl === null ? {} : { ttl: milliseconds('ttl', ttl) }
      using _reserved = reservations.reserve(value)
      const lease = await engine.register(value, options)
      await visible(lease.revision)
      const entry = catalog.entry(value) ?? {
        instance: value,
        health: registeredHealth(value.checks, undefined),
        createdRevision: lease.revision,
        modifiedRevision: lease.revision,
      }
      const granted = JSON.stringify({ token: lease.token, ttl: lease.ttl ?? null })
      return reply
        .code(entry.createdRevision < lease.revision ? 200 : 201)
        .type('application/json; charset=utf-8')
        .send(`{"instance":${passingEntryJson(entry)},"lease":${granted},"revision":${lease.revision}}`)
    },
  )

  app.get<Named>(
    url,
    {
      schema: {
        ...about,
        summary: 'One instance',
        response: schemas.responses({
          200: { description: 'The instance.', schema: schemas.answers.instance },
        }),
      },
    },
    async (request, reply) => {
      checkPath(request.params)
      const entry = catalog.entry(request.params)
      if (entry === undefined) throw notFound(request.params)
      return reply.type('application/json; charset=utf-8').send(`{"instance":${passingEntryJson(entry)}}`)
    },
  )

  app.delete<Named>(
    url,
    {
      schema: {
        ...about,
        summary: 'Deregister an instance',
        response: schemas.responses({
          200: { description: 'It is gone.', schema: schemas.answers.revision },
        }),
      },
    },
    async (request) => {
      checkPath(request.params)
      const revision = await engine.deregister(request.params)
      if (revision === undefined) throw notFound(request.params)
      await visible(revision)
      return { revision }
    },
  )

  app.put<Named & { Body: { enable: boolean; reason?: string } }>(
    `${url}/maintenance`,
    {
      schema: {
        ...about,
        summary: 'Take an instance out of service, or put it back',
        description:
          'Its health is `maintenance` until it is put back; nobody is sent to it. Its lease goes on.',
        body: schemas.maintenanceBody,
        response: schemas.responses({ 200: { description: 'Done.', schema: schemas.answers.revision } }),
      },
    },
    async (request) => {
      const { enable, reason = '' } = request.body
      checkPath(request.params)
      const report = {
        id: maintenanceCheck,
        status: enable ? ('maintenance' as const) : null,
        output: reason,
      }
      const revision = await engine.report(request.params, [report])
      await visible(revision)
      return { revision }
    },
  )

  app.put<Named & { Body: { checks: CheckReport[] } }>(
    `${url}/health`,
    {
      schema: {
        ...about,
        summary: 'Report what checks observed',
        description:
          'Results of other checks stay; a status of `null` withdraws a result. The lease is not touched.',
        body: schemas.healthBody,
        response: schemas.responses({ 200: { description: 'Done.', schema: schemas.answers.revision } }),
      },
    },
    async (request) => {
      checkPath(request.params)
      for (const [index, { id }] of request.body.checks.entries()) checkName(`checks/${index}/id`, id)
      await noteReports(context, request.params, request.body.checks)
      const revision = await engine.report(request.params, request.body.checks)
      await visible(revision)
      return { revision }
    },
  )

  done()
}

function notFound(key: InstanceKey): SeamarkError {
  return new SeamarkError('instance_not_found', `No instance ${displayName(key)} is registered.`, {
    field: 'id',
  })
}

/** Where the request comes from. A dual-stack socket shows IPv4 as `::ffff:10.0.0.1`. */
function callerAddress({ socket }: FastifyRequest): string {
  return (socket.remoteAddress ?? '').replace(/^::ffff:(?=[\d.]+$)/, '')
}

const durations = ['interval', 'timeout', 'deregisterAfter', 'ttl'] as const

function checkInput(check: Check, index: number): CheckInput {
  const read = durations.flatMap((field) => {
    const value = check[field]
    return value === undefined ? [] : [[field, milliseconds(`checks/${index}/${field}`, value)]]
  })
  return { ...check, ...Object.fromEntries(read) }
}
