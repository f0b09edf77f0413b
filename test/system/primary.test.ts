import { connect } from '@seamark/client'
import { expect, it } from 'vitest'
import { announcer } from './announcer.ts'
import { serverProcess } from './server-process.ts'

it('the primary of a service moves when its process is killed, to one with a higher number', {
  timeout: 90_000,
}, async ({ annotate }) => {
  await using server = await serverProcess('memory:')
  await using caller = connect(server.url, { signals: false })
  const ids = ['a', 'b', 'c']
  await using a = await announcer(server.url, 'a', { more: 'primary: true' })
  await using b = await announcer(server.url, 'b', { more: 'primary: true' })
  await using c = await announcer(server.url, 'c', { more: 'primary: true' })
  const processes = new Map([a, b, c].map((process, index) => [ids[index], process]))
  let fence = 0
  while (processes.size > 0) {
    const primary = await caller.waitFor('api', { primary: true })
    expect(primary.fence).toBeGreaterThan(fence)
    expect(processes.keys()).toContain(primary.id)
    fence = primary.fence
    const killed = performance.now()
    await processes.get(primary.id)!.kill()
    processes.delete(primary.id)
    for await (const { entries } of caller.watch('api')) {
      const found = caller.service('api').pick({ primary: true })
      if (entries.length === processes.size && (found !== undefined || processes.size === 0)) break
    }
    await annotate(`${primary.id} was replaced ${Math.round(performance.now() - killed)} ms after kill -9.`)
  }
  await expect(caller.find('api', { primary: true })).rejects.toMatchObject({ code: 'service_not_found' })
})
