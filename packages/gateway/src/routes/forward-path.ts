import type { Route } from '@seamark/core'

/** The path that the instance gets: what the route's path is of `path` is rewritten, the rest is as it came. */
export function forwardPath({ path: prefix, rewrite }: Route, path: string): string {
  if (rewrite === undefined) return path
  const rest = prefix === '/' ? path : afterSegments(path, segments(prefix))
  return rewrite === '/' ? rest || '/' : rewrite + rest
}

/** How many segments a path has; `/` has none. */
export function segments(path: string): number {
  if (path === '/') return 0
  let count = 0
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) count++
  return count
}

/** The prefix may be spelled in several ways, but all of them have the same segments. */
function afterSegments(path: string, count: number): string {
  let end = 0
  for (let segment = 0; segment < count && end >= 0; segment++) end = path.indexOf('/', end + 1)
  return end < 0 ? '' : path.slice(end)
}
