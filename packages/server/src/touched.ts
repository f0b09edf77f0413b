import { type EntryChange, type InstanceKey, instanceId, serviceId } from '@seamark/core'

/** What a change was of, without what it came to: enough to look the latest state up. */
export type Touched =
  | { readonly type: 'instance'; readonly key: InstanceKey }
  | {
      readonly type: 'claim'
      readonly key: { readonly namespace: string; readonly service: string; readonly name: string }
    }

/** What the change touched, and a text that nothing else has. */
export function touched(change: EntryChange): readonly [id: string, touched: Touched] {
  switch (change.type) {
    case 'put':
      return touchedInstance(change.entry.instance)
    case 'delete':
      return touchedInstance(change.key)
    case 'claim':
      return touchedClaim(change.holder)
    case 'release':
      return touchedClaim(change.claim)
  }
}

function touchedInstance({ namespace, service, id }: InstanceKey): readonly [string, Touched] {
  const key = { namespace, service, id }
  return [`i${instanceId(key)}`, { type: 'instance', key }]
}

function touchedClaim({
  namespace,
  service,
  name,
}: Touched['key'] & { name: string }): readonly [string, Touched] {
  const key = { namespace, service, name }
  return [`c${serviceId(key)}\u0000${name}`, { type: 'claim', key }]
}
