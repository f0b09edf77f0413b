// A DNS server over a registry of its own, that knows something of every kind.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { catalog, instance, memory } from '@seamark/core'
import { dnsServer } from '@seamark/dns'
import { chance, garbledAnswers } from '../dns-garbage.js'
import { answers } from './answers.js'

/** @type {string[]} */
const notices = []

/**
 * Answers its port. Its recursor answers garbage.
 * @param {{ seed: number }} options
 */
async function serve({ seed }) {
  const engine = memory()
  const replica = catalog(engine)
  await replica.warm()
  const put = (/** @type {import('@seamark/core').InstanceInput} */ input) => engine.register(instance(input))
  const api = { namespace: 'default', service: 'api', version: '2.1.0', tags: ['blue'] }
  for (let n = 1; n <= 40; n++) await put({ ...api, id: `api-${n}`, address: `10.0.0.${n}`, port: 3000 + n })
  await put({ namespace: 'default', service: 'six', id: 'six', address: '2001:db8::1', port: 80 })
  await put({ namespace: 'default', service: 'host', id: 'host', address: 'db.example.com', port: 80 })
  await put({ namespace: 'test.shop', service: 'app2', id: 'app2', address: '10.1.0.1', port: 80 })
  await put({
    namespace: 'seamark',
    service: 'node',
    id: 'Web-1',
    address: '10.2.0.1',
    port: 0,
    metadata: { os: 'linux' },
  })
  const garbled = garbledAnswers(chance(seed))
  const recursor = createSocket('udp4')
  recursor.on('message', (question, { port, address }) => recursor.send(garbled(question), port, address))
  recursor.bind(0, '127.0.0.1')
  await once(recursor, 'listening')
  const { port } = await dnsServer({
    catalog: replica,
    port: 0,
    recursors: [`127.0.0.1:${recursor.address().port}`],
    bounds: { recursorTimeout: 100 },
    notify: ({ message, details }) => notices.push(`${message} ${details?.error}`),
  })
  return port
}

/** What it complained of. */
function complaints() {
  return notices
}

const functions = { serve, complaints }
/** @typedef {typeof functions} Functions */
answers(functions)
