import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { root } from '../../scripts/step.js'

/** Runs an example, as its `npm run` does; what it prints. It asserts what it tells. */
async function run(script: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script], {
    cwd: root,
    timeout: 60_000,
  })
  expect(stderr).toBe('')
  return stdout
}

it('app1 asks app2 by its discovery name, and only app1 is reached from outside', {
  timeout: 90_000,
}, async () => {
  const printed = await run('examples/copilot/copilot.js')
  expect(printed).toMatch(/^\$ curl \S+\/app1\napp1 asked app2, and it says: hello from app2/m)
  expect(printed).toMatch(/^\$ curl \S+\/app2\n{"error":{"code":"route_not_found"/m)
})

it('tickets are for those only whose token has the role', { timeout: 90_000 }, async () => {
  const printed = await run('examples/tickets/tickets.js')
  const statuses = [...printed.matchAll(/^ {2}(\d+) /gm)].map(([, status]) => status)
  expect(statuses).toEqual(['401', '403', '401', '200'])
  expect(printed).toContain('"askedBy":{"sub":"ada","roles":["tickets-query","tickets-edit"]')
})
