// What is behind proxies, where nginx is not: answers all requests alike.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { answers } from './answers.js'

/**
 * @param {string} body
 * @returns {Promise<string>} its URL
 */
async function serve(body) {
  const fields = ['content-type', 'application/json', 'content-length', String(Buffer.byteLength(body))]
  const server = createServer({ keepAliveTimeout: 300_000 }, (_, response) => {
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
