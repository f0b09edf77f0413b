import type { ConsulCheck } from '../check.ts'
import type { ConsulNode } from '../node.ts'
import type { View } from '../view.ts'
import type { Session } from './session-item.ts'

const namespace = 'default'

/** Why the session cannot be, by its checks, in Consul's words. */
export function checksGone(view: View, node: ConsulNode, session: Session): string[] {
  return checkIds(session).flatMap((id) => {
    const check = checkOf(view, node, id)
    if (check === undefined) return [`Missing check '${id}' registration`]
    return check.status === 'critical' ? [`Check '${id}' is in critical state`] : []
  })
}

/** Whether the checks of its node's services, or of those who told of its node, matter to it. */
export function hasOtherChecks(session: Session): boolean {
  return checkIds(session).some((id) => id !== 'serfHealth')
}

function checkIds({ NodeChecks, ServiceChecks, Checks }: Session): string[] {
  return [
    ...new Set([...(Checks ?? []), ...(NodeChecks ?? []), ...(ServiceChecks ?? []).map(({ ID }) => ID)]),
  ]
}

/** A check of the node, or of a service on it. */
function checkOf(view: View, node: ConsulNode, id: string): ConsulCheck | undefined {
  const own = node.checks.find((check) => check.id === id)
  if (own !== undefined) return own
  if (node.server !== undefined) return view.agentCheck(namespace, id)
  for (const { checks } of view.servicesOn(namespace, node)) {
    const check = checks.find((check) => check.id === id)
    if (check !== undefined) return check
  }
  return undefined
}
