// npm start: a server with its data in ./data. Further arguments go to `seamark server`: npm start -- --port 9000
import { prepare } from './prepare.js'
import { become } from './step.js'

prepare('packages/cli')
await become('packages/cli/bin/seamark.js', ['server', '--engine', 'lmdb:./data', ...process.argv.slice(2)])
