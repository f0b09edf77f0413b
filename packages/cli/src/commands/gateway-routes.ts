import { displayName, healthy } from '@seamark/core'
import type { GatewayRoutes, Rule } from '@seamark/gateway'
import { command } from '../command.ts'
import { withRoutes } from '../gateway-registry.ts'
import { invocation } from '../invocation.ts'
import * as options from '../options.ts'
import type { Cell } from '../table.ts'

export const gatewayRoutes = command({
  name: 'gateway routes',
  summary: "list a gateway's rules, in the order in which they are looked at",
  description:
    'Reads them from the registry and the routes file, as a gateway does: none need run. What is not in force is listed ' +
    'below, with the rule that is in its way.',
  arguments: [],
  options: {
    ...options.gatewayRead,
    ...options.everywhere,
  },
  examples: [
    { line: 'seamark gateway routes', does: 'what instances say' },
    { line: 'seamark gateway routes --routes gateway.json', does: 'and what a file says: also to check it' },
    { line: "seamark gateway routes --json | jq -r '.routes[].name'", does: 'only their names' },
  ],
  async run({ settings, output }) {
    await withRoutes(settings, output, async (routes) => {
      const { routesJson } = await import('@seamark/gateway')
      const { table, skipped } = routes
      if (output.json) output.document({ ...routesJson(routes), skipped })
      else if (table.rules.length > 0)
        output.table(columns, [
          ...table.rules.map((rule) => [rule.name, ...asked(rule), instances(routes, rule), rule.origin]),
          ...table.conflicts.map(({ rule, winner }): readonly Cell[] => [
            ['red', rule.name],
            ...asked(rule),
            '',
            ['red', `not in force: ${winner.name} of ${winner.origin} comes first`],
          ]),
        ])
      else
        output.remark(
          `There are no routes. An instance brings one along: ${invocation()} register api --port 3000 --route /api`,
        )
      for (const { service, statement, problem } of skipped)
        output.remark(`${displayName(service)} says a route that is left out, ${statement}: ${problem}.`)
    })
    return undefined
  },
})

const columns = [
  { title: 'RULE' },
  { title: 'HOST' },
  { title: 'PATH' },
  { title: 'METHODS' },
  { title: 'ROLES' },
  { title: 'HEALTHY', align: 'right' },
  { title: 'FROM' },
] as const

function asked({ route: { host = 'any', path, methods, roles } }: Rule): readonly Cell[] {
  return [host, path, methods?.join(' ') ?? 'any', roles?.join(' ') ?? '']
}

function instances(routes: GatewayRoutes, rule: Rule): Cell {
  const { entries } = routes.snapshot(rule)
  const fit = healthy(entries).length
  const colour = fit === entries.length && fit > 0 ? 'green' : fit > 0 ? 'yellow' : 'red'
  return [colour, `${fit}/${entries.length}`]
}
