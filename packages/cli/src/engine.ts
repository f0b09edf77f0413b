import { resolve } from 'node:path'
import { type Engine, type Notify, publicUrl } from '@seamark/core'

export interface OpenEngine {
  readonly engine: Engine
  /** Where its data is, for people. */
  readonly place: string
  /** Whether other servers may use the same data at the same time. */
  readonly shared: boolean
}

/**
 * Opens the engine that a URL names. LMDB comes with the command line; any other is installed beside it. Throws
 * `configuration`, and what the engine throws when it cannot open.
 */
export async function openEngineAt(url: string, notify: Notify): Promise<OpenEngine> {
  if (url.startsWith('lmdb:')) {
    const { open } = await import('@seamark/lmdb')
    const engine = await open(url, { notify })
    return {
      engine,
      shared: false,
      place: resolve(decodeURIComponent(url.slice('lmdb:'.length).replace(/^\/\/(?=\/)/, ''))),
    }
  }
  const { openEngine } = await import('@seamark/client')
  const engine = await openEngine(url, { notify })
  return url === 'memory:'
    ? { engine, shared: false, place: 'in memory only: it ends with this process' }
    : { engine, shared: true, place: publicUrl(url) }
}
