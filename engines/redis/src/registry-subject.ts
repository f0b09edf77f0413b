import type { Change, ServiceKey } from '@seamark/core'
import { serviceName } from './names.ts'
import type { Records, State } from './record.ts'
import type { Subject } from './redis-watch.ts'
import { changes, list } from './scripts.ts'

/** `services`: default all. */
export function registrySubject(records: Records, services?: readonly ServiceKey[]): Subject<State, Change> {
  const names = services && [...new Set(services.map(serviceName))]
  return {
    feed: 'feed',
    list,
    changes,
    ranges: names?.map((name) => [`[${name}`, `(${name.slice(0, -1)}0`] as const) ?? [['-', '+']],
    scope: names === undefined ? ['all'] : ['some', ...names],
    run: (connection, script, args) => connection.run(script, args),
    change: (state) => records.change(state),
    reset: (states) => records.reset(states),
  }
}
