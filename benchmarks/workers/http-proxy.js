// `http-proxy` as its readme has it, with the connections that its origin keeps.
import { once } from 'node:events'
import { Agent, createServer } from 'node:http'
import httpProxy from 'http-proxy'
import { answers } from './answers.js'

/**
 * @param {string} target
 * @returns {Promise<string>} its URL
 */
async function serve(target) {
  const proxy = httpProxy.createProxyServer({ target, agent: new Agent({ keepAlive: true }), xfwd: true })
  const server = createServer((request, response) => proxy.web(request, response))
  proxy.on('error', (_, __, response) => response.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return `http://127.0.0.1:${address.port}`
}

const functions = { serve }
/** @typedef {typeof functions} Functions */
answers(functions)
