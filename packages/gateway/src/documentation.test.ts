import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCodes, SeamarkError } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { inquiry } from '../test/inquiry.ts'
import { entryOf, RouteList, ruleFor } from '../test/route-list.ts'
import { defaultBounds } from './front/bounds.ts'
import { metricDefinitions } from './telemetry/metrics.ts'
import { telemetry } from './telemetry/telemetry.ts'

const page = readFileSync(new URL('../../../docs/reference/gateway.md', import.meta.url), 'utf8')

/** The cells of the rows below a heading whose first cell is code. */
function rows(heading: string): string[][] {
  const [, section = ''] = page.split(`\n## ${heading}\n`)
  const [own = ''] = section.split('\n## ')
  return own
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

it('documents every metric with its type, labels and meaning', () => {
  const usual = ['rule', 'namespace', 'service']
  const real = Object.entries(metricDefinitions).map(([name, { type, labels, help }]) => {
    const further = labels.filter((label) => !usual.includes(label)).map((label) => `\`${label}\``)
    return [`\`${name}\``, type, labels.includes('rule') ? further.join(', ') : 'none of these', help]
  })
  expect(rows('Metrics')).toEqual(real)
})

it('documents every field of the log', async () => {
  const fields = new Set<string>()
  const write = (line: string) => {
    for (const field of Object.keys(JSON.parse(line))) fields.add(field)
  }
  const logger = pino({ base: null, timestamp: false }, { write })
  const rule = ruleFor('tickets')
  const { begin } = await telemetry({ clock: fakeClock(), logger, routes: new RouteList([rule]) })
  const errors = [undefined, new SeamarkError('timeout', 'Nobody answered.'), new TypeError('a bug')]
  for (const error of errors) {
    const passage = begin(inquiry())
    passage.routed(rule)
    passage.ended({
      status: 500,
      bytesIn: 0,
      bytesOut: 0,
      entry: entryOf('tickets', 'tickets-1'),
      tries: 1,
      error,
      identity: { subject: 'ada', roles: [], header: '{}' },
    })
  }
  for (const ofPino of ['level', 'msg']) fields.delete(ofPino)
  const documented = rows('Log').map(([field]) => field!.replaceAll('`', ''))
  expect(documented.sort()).toEqual([...fields].sort())
})

it('documents answers with the status of their code', () => {
  const documented = rows('Answers of the gateway')
  expect(documented.length).toBeGreaterThan(10)
  for (const [code, status] of documented) {
    const known = Object.entries(errorCodes).find(([name]) => `\`${name}\`` === code)
    expect([code, status]).toEqual([code, String(known?.[1].status)])
  }
})

it('documents every limit with its value', () => {
  const documented = rows('Limits').map(([name, value]) => [name, value])
  const real = Object.entries(defaultBounds).map(([name, value]) => [
    `\`${name}\``,
    value.toLocaleString('en'),
  ])
  expect(documented).toEqual(real)
})

it('documents every notice', () => {
  const folder = import.meta.dirname
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => readFileSync(join(folder, file), 'utf8'))
  const told = sources.flatMap((text) =>
    [...text.matchAll(/event: '(\w+)'|(?<![.\w])once\(\s*'(\w+)'/g)].map(
      ([, named, lasting]) => named ?? lasting,
    ),
  )
  const documented = rows('Notices').map(([event]) => event!.replaceAll('`', ''))
  expect(documented.sort()).toEqual([...new Set(told)].sort())
})
