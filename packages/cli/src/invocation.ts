import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** How this program is called from a folder: through npx where npm has linked it, else by its own file. */
export function invocation(folder = process.cwd(), script = process.argv[1] ?? 'seamark'): string {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, 'node_modules/.bin/seamark'))) return 'npx seamark'
    if (at === dirname(at)) break
  }
  if (/(^|[/\\])seamark$/.test(script)) return 'seamark'
  return /^[\w./@+-]+$/.test(script) ? `node ${script}` : `node '${script.replaceAll("'", `'\\''`)}'`
}
