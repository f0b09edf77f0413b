/** What vasco calls a service: its name and version, compared as they are. */
export function serviceName(name: string, version: string): string {
  return `${name}@${version}`
}

/** A set of the URLs at which a service is, without expiry. */
export function endpointsKey(service: string): string {
  return `endpoints.${service}`
}

/** A string that expires, unless somebody is alive at that URL: the name of the service there. */
export function aliveKey(url: string): string {
  return `alive.${url}`
}

/** Whether the value of an alive key stands for that service. Early releases of vasco wrote `true`, whoever it was. */
export function isAlive(value: string | null | undefined, service: string): boolean {
  return value === service || value === 'true'
}

/** Takes KEYS[1], a set, and KEYS[2], an alive key, and removes the URL ARGV[1] from the set unless it is alive. */
export const removeDead = `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('SREM', KEYS[1], ARGV[1])`

/** As `removeDead`, by who is alive there as ARGV[2]. What another service has put at that URL since, stays. */
export const removeOwn = `
if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
return redis.call('SREM', KEYS[1], ARGV[1])`
