// What Node.js can do at best: sends one prepared answer to every request, and looks at nothing.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { answers } from './answers.js'

/**
 * @param {{ headers: readonly [string, string][], body: string, keepAliveTimeout: number }} answer
 * @returns {Promise<string>} its URL
 */
async function serve({ headers, body, keepAliveTimeout }) {
  const fields = headers.flat()
  const server = createServer({ keepAliveTimeout }, (_, response) => {
    response.writeHead(200, fields)
    response.end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return `http://127.0.0.1:${address.port}`
}

const functions = { serve }
/** @typedef {typeof functions} Functions */
answers(functions)
