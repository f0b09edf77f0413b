import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { SeamarkError } from '@seamark/core'
import type { KeySetting } from './access-setting.ts'

/** Where keys are read from, once or again and again. */
export interface KeySource {
  /** For people: without what follows the "?" of a URL, which may be a secret. */
  readonly name: string
  /** Milliseconds after which it is read again; `undefined` for what cannot change. */
  readonly refresh: number | undefined
  /** At once, where that can be. Throws `configuration`. */
  readonly first: Buffer | undefined
  /** Gives up when `signal` aborts. Throws an `Error`. */
  read(signal: AbortSignal): Promise<Buffer>
}

export type Fetch = typeof fetch

/** Bytes of a file or an answer with keys. */
const mostBytes = 524_288

/** Milliseconds after which files are read again, as certificates are; and URLs, as by jose. */
const refreshes = { file: 30_000, url: 600_000 }

/** Throws `configuration` when there is nothing there to begin with. */
export function keySource({ place, at }: KeySetting, fetch: Fetch): KeySource {
  if (place === 'url') return ofUrl(at, fetch)
  const name = place === 'file' ? at : `the variable ${at}`
  let first: Buffer
  try {
    first = place === 'file' ? readFileSync(at) : ofVariable(at)
  } catch (cause) {
    throw new SeamarkError('configuration', `${name} cannot be read: ${(cause as Error).message}`, { cause })
  }
  const isFile = place === 'file'
  return {
    name,
    refresh: isFile ? refreshes.file : undefined,
    first,
    read: (signal) => (isFile ? readFile(at, { signal }) : Promise.resolve(first)),
  }
}

function ofVariable(name: string): Buffer {
  const value = process.env[name]
  if (value === undefined) throw new Error('it is not set')
  return Buffer.from(value)
}

function ofUrl(url: string, fetch: Fetch): KeySource {
  const { origin, pathname } = new URL(url)
  return {
    name: origin + pathname,
    refresh: refreshes.url,
    first: undefined,
    async read(signal) {
      const headers = { accept: 'application/jwk-set+json, application/json' }
      // A redirect would let whoever can send one choose the keys.
      const response = await fetch(url, { headers, redirect: 'manual', signal })
      if (response.status !== 200 || response.body === null) {
        await response.body?.cancel()
        throw new Error(`it answers ${response.status}`)
      }
      const chunks: Uint8Array[] = []
      let size = 0
      for await (const chunk of response.body) {
        size += chunk.length
        if (size > mostBytes) throw new Error(`it answers more than ${mostBytes} bytes`)
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
    },
  }
}
