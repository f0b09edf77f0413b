import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serverProcess } from '../server-process.ts'
import { type CallerOptions, type CallerProcess, callerProcess } from './caller-process.ts'
import { type InstanceKind, type InstanceProcess, instanceProcess } from './instance-process.ts'
import type { Entrance, WayIn } from './ways-in.ts'

/** Three instances of a service, each written in another way, and a caller that has met all of them: a process each. */
export interface Scene extends AsyncDisposable {
  /** In the order in which they started. */
  readonly instances: readonly [InstanceProcess, InstanceProcess, InstanceProcess, ...InstanceProcess[]]
  readonly entrance: Entrance
  readonly caller: CallerProcess
  /** One more. */
  start(kind: InstanceKind): Promise<InstanceProcess>
}

export interface SceneOptions extends CallerOptions {
  /** Milliseconds after which instances that are killed are forgotten. */
  readonly ttl: number
}

/** Sets one up over a registry of its own. */
export async function scene(open: WayIn, { ttl, ...options }: SceneOptions): Promise<Scene> {
  const own: AsyncDisposable[] = []
  const keep = <T extends AsyncDisposable>(one: T): T => {
    own.unshift(one)
    return one
  }
  async function close() {
    for (const one of own.splice(0)) await one[Symbol.asyncDispose]()
  }
  try {
    const folder = await mkdtemp(join(tmpdir(), 'seamark-traffic-'))
    keep({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) })
    const { url: registry } = keep(await serverProcess('memory:'))
    const process = async (kind: InstanceKind) => keep(await instanceProcess(kind, { registry, folder, ttl }))
    const instances: [InstanceProcess, InstanceProcess, InstanceProcess, ...InstanceProcess[]] =
      await Promise.all([process('http'), process('fastify'), process('express')])
    const start = async (kind: InstanceKind) => {
      const instance = await process(kind)
      instances.push(instance)
      return instance
    }
    const entrance = keep(await open(registry, options))
    const caller = keep(await callerProcess(entrance.way, entrance.url, options))
    return { instances, entrance, caller, start, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}
