// @ts-check
// A service and its caller, for every engine: SEAMARK_URL says which. Run it with, for example,
// SEAMARK_URL=redis://127.0.0.1 node examples/engines/greeter.js
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from '@seamark/client'

const discovery = connect() // what SEAMARK_URL names
const name = 'greeter'

// The service: it listens, and announces itself.
const server = createServer((request, response) => response.end(`Hello from ${request.headers.host}`))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
const announcement = await discovery.announce({
  name,
  address: '127.0.0.1',
  port,
  version: '1.2.0',
  ttl: '5s',
})
await announcement.ready()

// Its caller: it waits for somebody of that name and version, and calls whoever there is.
const { id, origin } = await discovery.waitFor(name, { version: '^1' })
const response = await discovery.service(name).fetch('/')
assert.match(await response.text(), /^Hello from /)
console.log(`Found ${id} at ${origin}, and got an answer.`)

// The end: first it is not found any more, then it stops listening.
await announcement.close()
const own = announcement.instance.id
for await (const { entries } of discovery.watch(name))
  if (!entries.some(({ instance }) => instance.id === own)) break
await discovery.close()
server.close()
console.log(`${own} is gone.`)
