import type { ConsulCheck } from './check.ts'
import type { CheckRecord } from './record.ts'
import type { View } from './view.ts'

export interface AliasResult {
  readonly status: 'passing' | 'warning' | 'critical'
  readonly output: string
}

/** What an alias check says: as the service that it names, and the node. In Consul's words (`agent/checks/alias.go`). */
export function aliasResult(
  view: View,
  namespace: string,
  { node: name = '', service: id = '' }: NonNullable<CheckRecord['alias']>,
): AliasResult {
  const node = name === '' ? view.nodes.own : view.nodes.find(name)
  const service =
    id === ''
      ? undefined
      : name === ''
        ? view.agentService(namespace, id)
        : node && view.servicesOn(namespace, node).find((service) => service.id === id)
  if (id !== '' && service === undefined)
    return { status: 'critical', output: `Service ${id} could not be found on node ${name}` }
  // Of itself the agent knows that it is alive: others have to ask.
  const own =
    (service?.node ?? node)?.checks.filter((check) => name !== '' || check.id !== 'serfHealth') ?? []
  return judged([...own, ...(service?.checks ?? [])])
}

function judged(checks: readonly ConsulCheck[]): AliasResult {
  let result: AliasResult = { status: 'passing', output: 'No checks found.' }
  for (const { name, status, output } of checks) {
    if (status === 'critical' || status === 'warning') {
      result = { status, output: `Aliased check ${JSON.stringify(name)} failing: ${output}` }
      if (status === 'critical') break
    } else if (result.status === 'passing') result = { status: 'passing', output: 'All checks passing.' }
  }
  return result
}
