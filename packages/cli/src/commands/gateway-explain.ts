import type { Entry } from '@seamark/core'
import type { Explanation, Forwarded, GatewayBounds, Rule, Verdict } from '@seamark/gateway'
import { hostPort } from '../address.ts'
import { command } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { withRoutes } from '../gateway-registry.ts'
import * as options from '../options.ts'
import type { Output } from '../output.ts'
import { printable } from '../table.ts'

/** Rules that are shown of those that do not fit: a gateway may have thousands. */
const shown = 20

export const gatewayExplain = command({
  name: 'gateway explain',
  summary: 'say what would become of a request, and why',
  description:
    'Which rule is in force for it, which instances may get it and as what; or how the gateway would answer by itself, ' +
    'with exit code 3. Nothing is sent. Reads the rules from the registry and the routes file: no gateway need run.',
  arguments: [
    { syntax: '<method>', help: 'the method, such as GET' },
    { syntax: '<url>', help: 'the URL; or a path, for a request to any host' },
  ],
  options: {
    ...options.gatewayRead,
    ...options.everywhere,
  },
  examples: [
    { line: 'seamark gateway explain GET http://shop.example/tickets/7', does: 'of a host' },
    { line: 'seamark gateway explain POST /tickets --routes gateway.json', does: 'with a file of routes' },
  ],
  async run({ settings, arguments: [method, url], output }) {
    return withRoutes(settings, output, async (routes) => {
      const { defaultBounds, explanation } = await import('@seamark/gateway')
      const explained = explanation(routes, method!.toUpperCase(), url!)
      if (output.json) output.document(document(explained))
      else print(explained, defaultBounds, output)
      return 'rule' in explained.outcome ? undefined : exitCodes.notFound.code
    })
  },
})

type Bounds = Pick<GatewayBounds, 'answerTimeout' | 'retries'>

function print({ method, host, path, rules, outcome }: Explanation, bounds: Bounds, output: Output): void {
  const { paint } = output
  output.print(printable(`${method} ${path} of ${host === '' ? 'any host' : `host ${host}`}`))
  const winner = 'rule' in outcome ? outcome.rule : undefined
  const others = rules.filter(({ fits }) => !fits)
  const left = new Set(others.slice(shown))
  const rows = rules.filter((one) => !left.has(one))
  if (rows.length > 0) {
    output.print('')
    output.table(
      columns,
      rows.map((one) => [one.rule.name, colouredVerdict(one, winner)]),
    )
    if (left.size > 0) output.print(paint('dim', `… and ${left.size} more that do not fit`))
  }
  output.print('')
  if (!('rule' in outcome)) output.print(`${paint('red', String(outcome.status))}  ${printable(outcome.why)}`)
  else
    for (const [name, text] of facts(outcome, method, bounds))
      output.print(`${name.padEnd(10)} ${printable(text)}`)
}

const columns = [{ title: 'RULE' }, { title: 'WHY' }]

function colouredVerdict(
  { rule, fits, why }: Verdict,
  winner: Rule | undefined,
): [colour: 'green' | 'dim', text: string] {
  if (rule === winner) return ['green', 'fits: it is in force']
  return ['dim', fits ? 'fits, and comes later' : why]
}

function facts(
  { rule, path, healthy, all, canary }: Forwarded,
  method: string,
  bounds: Bounds,
): readonly (readonly [string, string])[] {
  const { roles, timeout, retries } = rule.route
  return [
    ['Rule', `${rule.name}, of ${rule.origin}`],
    ['Asks for', `${method} ${path}`],
    [
      'Instances',
      healthy.length === 0 ? `none is healthy, of ${all.length}: 503` : `${names(healthy)}, of ${all.length}`,
    ],
    ...(canary === undefined
      ? []
      : [
          [
            'Canary',
            `${percent(canary.share)} of the requests to ${names(canary.healthy) || 'none that is healthy'}`,
          ] as const,
        ]),
    ['Roles', roles === undefined ? 'none: no token is asked for' : `one of ${roles.join(', ')}`],
    ['Timeout', timeout === undefined ? `${bounds.answerTimeout} ms, the gateway's` : `${timeout} ms`],
    ['Retries', retries === undefined ? `${bounds.retries}, the gateway's` : String(retries)],
    ['Policy', Object.keys(rule.policy).join(', ') || 'none'],
  ]
}

function names(entries: readonly Entry[]): string {
  const first = entries.slice(0, 5).map(({ instance }) => `${instance.id} (${hostPort(instance)})`)
  return first.join(', ') + (entries.length > 5 ? `, and ${entries.length - 5} more` : '')
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`
}

function document({ method, host, path, rules, outcome }: Explanation): unknown {
  return {
    method,
    host,
    path,
    rules: rules.map(({ rule, fits, why }) => ({ name: rule.name, fits, why })),
    ...('rule' in outcome
      ? {
          rule: outcome.rule.name,
          ...outcome.rule.service,
          route: outcome.rule.route,
          policy: Object.keys(outcome.rule.policy),
          origin: outcome.rule.origin,
          forwarded: outcome.path,
          healthy: outcome.healthy.map(({ instance: { id } }) => id),
          instances: outcome.all.map(({ instance: { id } }) => id),
          ...(outcome.canary && {
            canary: {
              share: outcome.canary.share,
              healthy: outcome.canary.healthy.map(({ instance: { id } }) => id),
            },
          }),
        }
      : {
          answer: {
            status: outcome.status,
            why: outcome.why,
            ...(outcome.allow && { allow: outcome.allow }),
          },
        }),
  }
}
