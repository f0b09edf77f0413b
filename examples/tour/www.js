// @ts-check
// A web server that calls `api`, wherever that is at the moment.
import { createServer } from 'node:http'
import { connect } from '@seamark/client'

const discovery = connect()
const api = discovery.service('api')

const server = createServer(async (_request, response) => {
  try {
    const answer = await api.fetch('/')
    response.end(`www asked ${await answer.text()}`)
  } catch (error) {
    response.writeHead(502).end(String(error))
  }
})

server.listen(0, '127.0.0.1', async () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  await discovery.announce({ name: 'www', address: '127.0.0.1', port, ttl: '2s' })
})
