import type { experimental } from '@grpc/grpc-js'
import type { Filter } from '@seamark/client'
import { invalidField } from '@seamark/core'

/** What `seamark:///shop/api?version=^2&tag=blue` asks for. */
export interface Target {
  /** `service` or `namespace/service`. */
  readonly name: string
  readonly filter: Filter
}

/** The parameters of a target, and how often each may stand there. */
const parameters: Readonly<Record<string, 'once' | 'often'>> = { version: 'once', zone: 'once', tag: 'often' }

/** Takes a target apart. Throws `invalid_field`. */
export function target({ scheme, authority, path }: experimental.GrpcUri): Target {
  if (authority || path.startsWith('/'))
    throw invalidField(
      'target',
      `must be written as "${scheme}:///service" or "${scheme}:///namespace/service"; which registry is asked is not part of it`,
    )
  const [name = '', ...query] = path.split('?')
  // A "+" is a part of versions (1.0.0+build), and no space here.
  const given = new URLSearchParams(query.join('?').replaceAll('+', '%2B'))
  for (const parameter of new Set(given.keys())) {
    const times = Object.hasOwn(parameters, parameter) ? parameters[parameter] : undefined
    if (times === undefined)
      throw invalidField(
        'target',
        `has the parameter "${parameter}", which is none of ${Object.keys(parameters).join(', ')}`,
      )
    if (times === 'once' && given.getAll(parameter).length > 1)
      throw invalidField('target', `must have the parameter "${parameter}" once`)
  }
  const version = given.get('version')
  const zone = given.get('zone')
  const tags = given.getAll('tag')
  return {
    name,
    filter: {
      ...(version !== null && { version }),
      ...(zone !== null && { zone }),
      ...(tags.length > 0 && { tags }),
    },
  }
}
