import {
  type Catalog,
  type ClaimKey,
  displayName,
  type Holder,
  invalidField,
  type Lease,
  type Revision,
  SeamarkError,
  serviceId,
} from '@seamark/core'
import type { Context, Routes } from './context.ts'
import { unlessLost } from './leases.ts'
import { checkPath } from './path-names.ts'
import * as schemas from './schemas.ts'

interface Named {
  Params: { namespace: string; service: string; name: string }
  Querystring: { names?: 'any' }
  Body: { token: string }
}

const url = '/namespaces/:namespace/services/:service/claims/:name'
const about = {
  params: schemas.claimParams,
  querystring: schemas.namesQuery,
  body: schemas.tokenBody,
  tags: ['claims'],
}

/** Names of a service that one lease at a time holds: leader election. */
export const claims: Routes = (app, { context }, done) => {
  const { engine, catalog, visible } = context

  app.put<Named>(
    url,
    {
      schema: {
        ...about,
        summary: 'Claim a name',
        description:
          'For an instance of the service, by the token of its lease. The claim ends with the lease. Claiming what one holds changes nothing.',
        response: schemas.responses({ 200: { description: 'It is held.', schema: schemas.answers.claimed } }),
      },
    },
    async (request) => {
      checkPath(request.params)
      const lease = await engine.resume(request.body.token)
      checkService(request.params, lease)
      const claim = await engine.claim(request.params.name, lease)
      if (claim === undefined) throw held(request.params, catalog)
      await visible(claim.revision)
      return { holder: holderJson(claim.holder), revision: claim.revision }
    },
  )

  app.post<Named>(
    `${url}/release`,
    {
      schema: {
        ...about,
        summary: 'Let go of a claim',
        description: 'The lease stays.',
        response: schemas.responses({
          200: { description: 'It is free.', schema: schemas.answers.released },
        }),
      },
    },
    async (request) => {
      checkPath(request.params)
      const lease = await unlessLost(engine.resume(request.body.token))
      if (lease === undefined) return { revision: null }
      checkService(request.params, lease)
      return { revision: (await unlessLost(release(request.params, lease, context))) ?? null }
    },
  )

  done()
}

function checkService(service: ClaimKey, { key }: Lease): void {
  if (serviceId(service) !== serviceId(key))
    throw invalidField('token', `is that of ${displayName(key)}, which is of another service`)
}

function held(key: ClaimKey, catalog: Catalog): SeamarkError {
  const holder = holderOf(key, catalog)
  const who = holder === undefined ? 'Another lease' : displayName(holder)
  return new SeamarkError('claim_held', `${who} holds the claim "${key.name}".`, {
    field: 'name',
    ...(holder !== undefined && { details: { holder: holderJson(holder) } }),
  })
}

/**
 * Claiming again is how one gets hold of a claim that may have been made through another server. It takes the name for
 * a moment if nobody has it.
 */
async function release(key: ClaimKey, lease: Lease, context: Context): Promise<Revision | undefined> {
  const { engine, catalog, visible } = context
  const claim = await engine.claim(key.name, lease)
  if (claim === undefined) return undefined
  await visible(claim.revision)
  await claim[Symbol.asyncDispose]()
  await gone(claim.holder, context)
  return catalog.snapshot(key).revision
}

/** Resolves once the catalog does not show the holder any more. Throws `timeout`. */
async function gone(holder: Holder, { catalog, clock, bounds }: Context): Promise<void> {
  const isGone = () => holderOf(holder, catalog)?.fence !== holder.fence
  if (isGone()) return
  await new Promise<void>((resolve, reject) => {
    const timer = clock.after(bounds.visibleTimeout, () => {
      subscription[Symbol.dispose]()
      reject(
        new SeamarkError(
          'timeout',
          `The claim "${holder.name}" is free, but the server does not see it yet.`,
        ),
      )
    })
    const subscription = catalog.subscribe(() => {
      if (!isGone()) return
      subscription[Symbol.dispose]()
      timer.cancel()
      resolve()
    })
  })
}

function holderOf(key: ClaimKey, catalog: Catalog): Holder | undefined {
  return catalog.snapshot(key).holders.find(({ name }) => name === key.name)
}

function holderJson({ namespace, service, id, name, fence }: Holder): Holder {
  return { namespace, service, id, name, fence }
}
