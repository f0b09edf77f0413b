import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * What `wrk` measures, or `undefined` where it is not installed. It needs so little itself that fast servers are not slowed down.
 * @returns {((load: WrkLoad) => Promise<number>) | undefined}
 *
 * @typedef {object} WrkLoad
 * @property {string} url
 * @property {Readonly<Record<string, string>>} headers
 * @property {number} connections
 * @property {number} milliseconds
 */
export function wrk() {
  if (spawnSync('wrk', ['-v']).error !== undefined) return undefined
  return async ({ url, headers, connections, milliseconds }) => {
    const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
    const seconds = Math.max(1, Math.round(milliseconds / 1_000))
    const args = ['-t1', `-c${connections}`, `-d${seconds}s`, ...fields, url]
    const { stdout } = await run('wrk', args)
    const speed = /Requests\/sec:\s*([\d.]+)/.exec(stdout)?.[1]
    if (speed === undefined || /Non-2xx|Socket errors/.test(stdout))
      throw new Error(`Not every request was answered:\n${stdout}`)
    return Number(speed)
  }
}
