import { hostname } from 'node:os'
import { type CheckInput, displayName, type InstanceKey, type RouteInput } from '@seamark/core'
import { hostPort } from '../address.ts'
import { api, instancePath } from '../api.ts'
import { command } from '../command.ts'
import type { EntryDocument } from '../documents.ts'
import { Failure } from '../failure.ts'
import { invocation } from '../invocation.ts'
import type { Values } from '../options.ts'
import * as options from '../options.ts'

const taken = { ...options.register, ...options.client, ...options.everywhere }
export type RegisterSettings = Values<typeof taken>

export const register = command({
  name: 'register',
  summary: 'register an instance of a service',
  description:
    'By itself, the registration stays until it is deregistered, whether the instance lives or not: give it a health check. ' +
    'With --ttl, the command stays and keeps renewing, until Ctrl-C deregisters. With "-- command", it runs the command, ' +
    'keeps it registered while it lives, and ends with its exit code.',
  arguments: [{ syntax: '<service>', help: 'the service' }],
  rest: { syntax: 'command...', help: 'after "--": a program to run, and its arguments' },
  options: taken,
  examples: [
    { line: 'seamark register api --port 3000', does: 'until it is deregistered' },
    {
      line: 'seamark register db --port 5432 --address 10.0.0.7 --scheme tcp --check-tcp',
      does: 'something that runs elsewhere, as long as it accepts connections',
    },
    {
      line: 'seamark register tickets --port 3000 --route shop.example/tickets --role tickets-query',
      does: 'for a gateway to lead there whoever has the role',
    },
    { line: 'seamark register api --port 3000 --ttl 10s', does: 'for as long as this command runs' },
    {
      line: 'seamark register api --port 3000 --version 2.1.0 --check-http /healthz -- node app.js',
      does: 'for as long as the program runs',
    },
  ],
  async run({ settings, arguments: [service], rest, output }) {
    const { port, address, id } = settings
    if (port === undefined)
      throw new Failure(
        'usage',
        'Say which port the instance listens on: --port 3000 (or SEAMARK_REGISTER_PORT).',
      )
    if (settings.role.length > 0 && settings.route === undefined)
      throw new Failure('usage', 'A --role needs a --route that it is for, such as --route /tickets.')
    if (rest?.length === 0) throw new Failure('usage', 'The command to run is missing after "--".')
    const key = {
      namespace: settings.namespace,
      service: service!,
      // The same on every run, so that registering again replaces; and another one on every machine.
      id: id ?? `${service}-${address ?? hostname()}-${port}`,
    }
    if (rest !== undefined || settings.ttl !== undefined) {
      const { announceInForeground } = await import('../foreground.ts')
      return announceInForeground({ key, port, settings, command: rest, output })
    }
    const answer = await api(settings.url).put<{ instance: EntryDocument; revision: number }>(
      instancePath(key),
      described(settings, port),
    )
    if (output.json) output.document(answer)
    else {
      output.print(`Registered ${displayName(key)} at ${hostPort(answer.instance)}.`)
      output.remark(`It stays until: ${farewell(key, settings)}`)
    }
    return undefined
  },
})

/** What is said of the instance, beside its key. What is not said is left to the server's defaults. */
export function described(settings: RegisterSettings, port: number) {
  const { address, version, zone, scheme, weight, tag, meta, route, role } = settings
  const { checkHttp, checkTcp, interval } = settings
  const checks: CheckInput[] = []
  // A longer timeout than the interval is refused; the default one is shortened to it.
  if (checkHttp !== undefined) checks.push({ type: 'http', url: checkHttp, interval })
  if (checkTcp) checks.push({ type: 'tcp', interval })
  return {
    port,
    scheme,
    weight,
    tags: tag,
    metadata: meta,
    checks,
    ...(address !== undefined && { address }),
    ...(version !== undefined && { version }),
    ...(zone !== undefined && { zone }),
    ...(route !== undefined && { route: routeInput(route, role) }),
  }
}

/** `/tickets`, `shop.example/tickets` or `shop.example`. */
function routeInput(route: string, roles: readonly string[]): RouteInput {
  const slash = route.indexOf('/')
  const [host, path] = slash < 0 ? [route, '/'] : [route.slice(0, slash), route.slice(slash)]
  return { path, ...(host !== '' && { host }), ...(roles.length > 0 && { roles }) }
}

function farewell({ namespace, service, id }: InstanceKey, { url }: RegisterSettings): string {
  const where = url === options.client.url.default ? '' : ` --url ${url}`
  const among = namespace === options.client.namespace.default ? '' : ` --namespace ${namespace}`
  return `${invocation()} deregister ${service} ${id}${among}${where}`
}
