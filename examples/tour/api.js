// @ts-check
// A service: it listens on a free port, and announces itself for as long as it lives.
import { createServer } from 'node:http'
import { connect } from '@seamark/client'

const discovery = connect() // the server that SEAMARK_URL names

const server = createServer((_request, response) => {
  response.end(`api ${process.pid}`)
})

server.listen(0, '127.0.0.1', async () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  await discovery.announce({ name: 'api', id: `api-${process.pid}`, address: '127.0.0.1', port, ttl: '2s' })
})

// On SIGTERM the client deregisters first; then this service may close.
