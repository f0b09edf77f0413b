// @ts-check
// The public app. Its code is that of AWS Copilot's tutorial: it calls app2 by its discovery name.
import { createServer } from 'node:http'
import { connect } from '@seamark/client'

// As Copilot sets them: app1 runs in the environment "test" of the application "shop".
const { COPILOT_SERVICE_NAME = 'app1', COPILOT_SERVICE_DISCOVERY_ENDPOINT = 'test.shop.local' } = process.env

// The namespace is all of the endpoint but ".local": that is the suffix of names here.
const discovery = connect(undefined, {
  namespace: COPILOT_SERVICE_DISCOVERY_ENDPOINT.replace(/\.local$/, ''),
  traffic: { suffix: '.local' },
})

const server = createServer(async (_request, response) => {
  try {
    const answer = await discovery.fetch(`http://app2.${COPILOT_SERVICE_DISCOVERY_ENDPOINT}/`)
    response.end(`app1 asked app2, and it says: ${await answer.text()}`)
  } catch (error) {
    response.writeHead(502).end(`app1 asked app2, and there was no answer: ${error}`)
  }
})

server.listen(0, '127.0.0.1', async () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  await discovery.announce({
    name: COPILOT_SERVICE_NAME,
    address: '127.0.0.1',
    port,
    ttl: '2s',
    // What the manifest of a "Load Balanced Web Service" says with `http: path: 'app1'`.
    route: { path: '/app1', rewrite: '/' },
  })
})
