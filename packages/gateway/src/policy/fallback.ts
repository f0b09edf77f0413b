import type { Clock, ServiceKey } from '@seamark/core'
import type { Fallback, Substitute } from '../ports.ts'
import { LastGood } from './last-good.ts'
import type { FallbackPolicy } from './policy.ts'

/** What is said in place of a service of `namespace`. */
export function fallback(policy: FallbackPolicy, namespace: string, clock: Clock): Fallback {
  if (policy.type === 'last-good') return new LastGood(clock, policy.maxAge)
  const always = policy.type === 'static' ? answer(policy) : serviceKey(policy.service, namespace)
  return { record: () => undefined, substitute: () => always }
}

function answer({ status, contentType, body }: FallbackPolicy & { type: 'static' }): Substitute {
  // Nobody on the way may take it for what the service says, and keep it.
  const headers = { 'content-type': contentType, 'cache-control': 'no-store' }
  return Object.freeze({ status, headers: Object.freeze(headers), body: Buffer.from(body) })
}

function serviceKey(name: string, namespace: string): ServiceKey {
  const slash = name.indexOf('/')
  return Object.freeze(
    slash === -1
      ? { namespace, service: name }
      : { namespace: name.slice(0, slash), service: name.slice(slash + 1) },
  )
}
