import type { CheckReport, InstanceKey, WriteOperation } from '@seamark/core'
import { encoded, renewalKey } from './consul/record.ts'
import type { Context } from './context.ts'

/**
 * Notes that checks which have to be reported in time were, before they are: from that write on, every server counts the
 * time that they have.
 */
export async function noteReports(
  { engine, catalog }: Pick<Context, 'engine' | 'catalog'>,
  key: InstanceKey,
  reports: readonly CheckReport[],
): Promise<void> {
  const checks = catalog.entry(key)?.instance.checks ?? []
  const operations = reports.flatMap(({ id, status, output = '' }): WriteOperation[] => {
    const check = checks.find((check) => check.id === id)
    if (check?.type !== 'reported' || check.ttl === undefined || status === null || status === 'maintenance')
      return []
    return [{ type: 'put', key: renewalKey(key, id), value: encoded({ status, output, ttl: check.ttl }) }]
  })
  if (operations.length > 0) await engine.write(operations)
}
