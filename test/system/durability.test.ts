import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { serverProcess } from './server-process.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'seamark-durability-'))
})

afterEach(() => rm(directory, { recursive: true }))

const rounds = 50
const writers = 8

it(`loses no acknowledged write in ${rounds} kills under load`, { timeout: 300_000 }, async () => {
  /** What the server acknowledged, by id: there, or gone. What it was asked but never answered may be either. */
  const acknowledged = new Map<string, 'there' | 'gone'>()
  let asked = 0

  async function write(url: string, id: string, method: 'PUT' | 'DELETE'): Promise<void> {
    acknowledged.delete(id)
    const response = await fetch(`${url}/api/v1/namespaces/default/services/api/instances/${id}`, {
      method,
      ...(method === 'PUT' && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ port: 3000, metadata: { id } }),
      }),
    })
    expect(response.ok).toBe(true)
    acknowledged.set(id, method === 'PUT' ? 'there' : 'gone')
  }

  for (let round = 0; round < rounds; round++) {
    await using server = await serverProcess(`lmdb:${directory}`)
    const enough = 10 + ((round * 7) % 40)
    const before = acknowledged.size
    let killed: Promise<void> | undefined
    const work = Array.from({ length: writers }, async (_, writer) => {
      while (killed === undefined) {
        const id = `api-${round}-${writer}-${asked++}`
        try {
          await write(server.url, id, 'PUT')
          if (asked % 3 === 0) await write(server.url, id, 'DELETE')
        } catch (error) {
          // The one error there may be: the connection to a server that was killed.
          if (killed === undefined) throw error
        }
        if (acknowledged.size - before >= enough) killed ??= server.kill()
      }
    })
    await Promise.all(work)
    await killed
  }

  await using server = await serverProcess(`lmdb:${directory}`)
  const found = new Set<string>()
  for (let after: string | null = ''; after !== null; ) {
    const page = await fetch(
      `${server.url}/api/v1/namespaces/default/services/api?limit=1000${after && `&after=${after}`}`,
    )
    const { instances, next } = (await page.json()) as { instances: { id: string }[]; next: string | null }
    for (const { id } of instances) found.add(id)
    after = next
  }
  expect(acknowledged.size).toBeGreaterThan(rounds * 10)
  for (const [id, state] of acknowledged) expect([id, found.has(id) ? 'there' : 'gone']).toEqual([id, state])
})
