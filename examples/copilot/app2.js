// @ts-check
// The internal app, a "Backend Service" in Copilot's words: it has no route, so no gateway leads to it.
import { createServer } from 'node:http'
import { connect } from '@seamark/client'

const { COPILOT_SERVICE_NAME = 'app2', COPILOT_SERVICE_DISCOVERY_ENDPOINT = 'test.shop.local' } = process.env

const discovery = connect(undefined, {
  namespace: COPILOT_SERVICE_DISCOVERY_ENDPOINT.replace(/\.local$/, ''),
})

const server = createServer((request, response) => {
  response.end(`hello from app2, which you called ${request.headers.host}`)
})

server.listen(0, '127.0.0.1', async () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  await discovery.announce({ name: COPILOT_SERVICE_NAME, address: '127.0.0.1', port, ttl: '2s' })
})
