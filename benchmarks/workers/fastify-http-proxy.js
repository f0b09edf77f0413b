// `@fastify/http-proxy` as its readme has it.
import proxy from '@fastify/http-proxy'
import fastify from 'fastify'
import { answers } from './answers.js'

/**
 * @param {string} upstream
 * @returns {Promise<string>} its URL
 */
async function serve(upstream) {
  const app = fastify()
  await app.register(proxy, { upstream })
  return app.listen({ host: '127.0.0.1', port: 0 })
}

const functions = { serve }
/** @typedef {typeof functions} Functions */
answers(functions)
