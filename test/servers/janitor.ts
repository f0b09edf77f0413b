import { type ChildProcess, spawn } from 'node:child_process'

/**
 * Outlives this process, in a session of its own, and when this process ends, however it ends, kills the processes and
 * removes the folders that are still there.
 */
const script = `
processes= folders=
without() { for each in $1; do [ "$each" = "$2" ] || printf ' %s' "$each"; done; }
while read -r verb what; do
  case $verb in
    process) processes="$processes $what" ;;
    ended) processes=$(without "$processes" "$what") ;;
    folder) folders="$folders $what" ;;
    removed) folders=$(without "$folders" "$what") ;;
  esac
done
[ -z "$processes" ] || kill -9 $processes
[ -z "$folders" ] || rm -rf $folders
`

let child: ChildProcess | undefined

function tell(verb: 'process' | 'ended' | 'folder' | 'removed', what: string | number): void {
  if (child === undefined) {
    child = spawn('sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    child.unref()
    const pipe = child.stdin as unknown as { unref(): void }
    pipe.unref()
  }
  child.stdin?.write(`${verb} ${what}\n`)
}

/** Sees to it that nothing of a server is left behind, even if its test process is killed. */
export const janitor = {
  minds: {
    process: (pid: number) => tell('process', pid),
    folder: (path: string) => tell('folder', path),
  },
  forgets: {
    process: (pid: number) => tell('ended', pid),
    folder: (path: string) => tell('removed', path),
  },
}
