import {
  defaultNamespace,
  type Health,
  type Instance,
  type InstanceKey,
  type ServiceKey,
} from '@seamark/core'
import type { Operation } from './agent.ts'
import { segment } from './keys.ts'

/** On the node that carries what Seamark registers: whose prefix it is. Such nodes are not read as other people's. */
export const nodeMark = 'seamark-prefix'

/** The node on which Consul's catalog shows what is registered here. No agent owns it, so none takes anything away. */
export function nodeOperation(node: string, prefix: string): Operation {
  // What has no address of its own would be at the node's; all of ours have.
  return { Node: { Verb: 'set', Node: { Node: node, Address: '0.0.0.0', Meta: { [nodeMark]: prefix } } } }
}

/** Shows an instance to Consul's DNS, UI and API. Nothing here is read back. */
export function showOperations(node: string, instance: Instance, health: Health): Operation[] {
  const ID = mirrorId(instance)
  const Service = mirrorName(instance)
  const weight = Math.max(1, instance.weight)
  return [
    {
      Service: {
        Verb: 'set',
        Node: node,
        Service: {
          ID,
          Service,
          Address: instance.address,
          Port: instance.port,
          Tags: instance.tags,
          Meta: meta(instance),
          Weights: { Passing: weight, Warning: weight },
        },
      },
    },
    {
      Check: {
        Verb: 'set',
        Check: {
          Node: node,
          CheckID: `seamark:${ID}`,
          Name: 'Seamark',
          Notes: 'What Seamark knows of the health of this instance. It is there as long as its lease.',
          // Consul's own maintenance is a critical check, too.
          Status: health.status === 'maintenance' ? 'critical' : health.status,
          Output: health.checks
            .map(({ id, status, output }) => `${id}: ${status}${output === '' ? '' : `: ${output}`}`)
            .join('\n')
            .slice(0, outputBound)
            .toWellFormed(),
          ServiceID: ID,
          ServiceName: Service,
        },
      },
    },
  ]
}

export function hideOperation(node: string, service: { ID: string; Service: string }): Operation {
  return { Service: { Verb: 'delete', Node: node, Service: service } }
}

/** Characters of output; Consul's own checks keep 4 KB. */
const outputBound = 4_096

export function mirrorId({ namespace, service, id }: InstanceKey): string {
  return [namespace, service, id].map(segment).join('/')
}

/** What Consul calls the service: a name of one label, if the service's is one, so that its DNS can answer for it. */
export function mirrorName({ namespace, service }: ServiceKey): string {
  if (namespace === defaultNamespace) return service
  return `${service}--${namespace.replace(/[^\p{L}\p{N}]+/gu, '-')}`
}

/** Consul's bounds (its documentation of services): 64 pairs, keys of 128 and values of 512 characters. */
const pairs = 64
const keyRule = /^[A-Za-z0-9_-]{1,128}$/
const valueBound = 512

function meta({ namespace, id, scheme, version, zone, metadata }: Instance): Record<string, string> {
  const own = { namespace, id, scheme, version, zone }
  const shown = [
    ...Object.entries(own).flatMap(([key, value]): [string, string][] =>
      value === undefined ? [] : [[`seamark-${key}`, value]],
    ),
    ...Object.entries(metadata).filter(([key, value]) => keyRule.test(key) && value.length <= valueBound),
  ]
  return Object.fromEntries(shown.slice(0, pairs))
}
