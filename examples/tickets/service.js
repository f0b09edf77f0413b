// @ts-check
// A service of tickets. It says itself how it is reached from outside, and by whom; it verifies no token: who gets here
// through the gateway has the role, and is named in a header that only the gateway can send.
import { createServer } from 'node:http'
import { connect } from '@seamark/client'

const tickets = [
  { id: 7, title: 'The door sticks' },
  { id: 8, title: 'The bell rings twice' },
]

const server = createServer((request, response) => {
  const identity = JSON.parse(String(request.headers['x-seamark-identity'] ?? 'null'))
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ tickets, askedBy: identity }))
})

server.listen(0, '127.0.0.1', async () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  await connect().announce({
    name: 'tickets',
    address: '127.0.0.1',
    port,
    ttl: '2s',
    route: { path: '/tickets', methods: ['GET'], roles: ['tickets-query'] },
  })
})
