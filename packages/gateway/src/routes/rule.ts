import { displayName, type Route, type ServiceKey } from '@seamark/core'

/** What a rule is called: made of nothing but itself, so that it is the same after a restart, and whatever else there is. */
export function ruleName(service: ServiceKey, { host, path, methods, priority = 0 }: Route): string {
  const asked = methods === undefined ? '' : `${[...methods].sort().join(',')} `
  const at = host === undefined ? '' : `@${host}`
  const rank = priority === 0 ? '' : ` priority=${priority}`
  return `${asked}${displayName(service)}${at}${path}${rank}`
}
