import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'

/**
 * Sees to it that nothing of a server stays when the process that tests it ends, however it ends: a shell in a session
 * of its own, which waits for that, kills the processes that it was told of, and removes the folders.
 */
export interface Janitor {
  minds(what: 'process' | 'folder', which: number | string): void
  forgets(what: 'process' | 'folder', which: number | string): void
  /** Does the work now, as if this process had ended. */
  dismiss(): void
}

const script = `
processes= folders=
without() { for each in $1; do [ "$each" = "$2" ] || printf ' %s' "$each"; done; }
while read -r verb what which; do
  case "$verb $what" in
    'minds process') processes="$processes $which" ;;
    'minds folder') folders="$folders $which" ;;
    'forgets process') processes=$(without "$processes" "$which") ;;
    'forgets folder') folders=$(without "$folders" "$which") ;;
  esac
done
[ -z "$processes" ] || kill -KILL $processes
[ -z "$folders" ] || rm -rf $folders
`

export function janitor(): Janitor {
  const child = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  const pipe = child.stdin as unknown as Socket
  // It is no reason for this process to stay.
  child.unref()
  pipe.unref()
  const tell = (...words: (string | number)[]) => void pipe.write(`${words.join(' ')}\n`)
  return {
    minds: (what, which) => tell('minds', what, which),
    forgets: (what, which) => tell('forgets', what, which),
    dismiss: () => void pipe.end(),
  }
}
