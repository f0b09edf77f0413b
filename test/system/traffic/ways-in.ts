import type { CallerOptions } from './caller-process.ts'

/** Where requests go in, so that they come out at instances. */
export interface Entrance extends AsyncDisposable {
  /** What the caller calls this way. */
  readonly way: string
  /** What it has to know: the registry's URL, or the gateway's. */
  readonly url: string
}

/** Opens an entrance over the registry of this URL, which treats requests as the caller would. */
export type WayIn = (registry: string, options: CallerOptions) => Promise<Entrance>

/** The caller itself, with the client: asks the registry. */
const client =
  (way: string): WayIn =>
  async (registry) => ({ way, url: registry, async [Symbol.asyncDispose]() {} })

export const waysIn: Readonly<Record<string, WayIn>> = {
  client: client('client'),
  'interceptor of undici': client('interceptor'),
}
