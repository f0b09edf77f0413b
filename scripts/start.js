// npm start: a server with its data in ./data. Further arguments go to `seamark server`: npm start -- --port 9000
import { fileURLToPath } from 'node:url'
import { prepare } from './prepare.js'

prepare('packages/cli')
// In this process, so that signals and the exit code are the server's own.
const command = new URL('../packages/cli/bin/seamark.js', import.meta.url)
process.argv.splice(1, 1, fileURLToPath(command), 'server', '--engine', 'lmdb:./data')
await import(command.href)
