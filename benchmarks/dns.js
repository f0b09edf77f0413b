import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decode, encode } from 'dns-packet'
import { program } from '../scripts/programs.js'
import { asJson } from './json.js'
import { consulAgent, seamark, withoutConsul } from './programs.js'
import { rounds } from './rounds.js'
import { endWithUs, worker } from './worker.js'

/** @import { Benchmark } from './figure.js' */
/** @import { Functions as BareDns } from './workers/bare-dns.js' */
/** @import { Worker } from './worker.js' */

const instances = Array.from({ length: 10 }, (_, index) => ({
  id: `api-${index}`,
  address: `10.0.0.${index + 1}`,
  port: 3000 + index,
}))
const name = 'api.service.consul'
const goals = { bare: { atLeast: 0.6 }, consul: { atLeast: 3 } }
/** Bytes that dnsperf says it takes. */
const datagramBytes = 4_096

/** @type {Benchmark} */
export default {
  name: 'dns',
  title: 'one service with 10 instances, over DNS',
  goals,

  async run({ smoke, directory, report, note }) {
    const load = program('dnsperf')
    if (load === undefined) {
      note('dnsperf is not installed, so nothing is measured: npm run engines:install dnsperf')
      return
    }
    const server = await seamark('memory:')
    for (const { id, ...rest } of instances)
      await asJson(`${server.url}/api/v1/namespaces/default/services/api/instances/${id}`, {
        method: 'PUT',
        body: rest,
      })
    const agent = await consulAgent(directory)
    for (const { id, address, port } of agent === undefined ? [] : instances)
      await asJson(`${agent?.url}/v1/agent/service/register`, {
        method: 'PUT',
        body: { ID: id, Name: 'api', Address: address, Port: port },
      })
    if (agent === undefined) note(withoutConsul)

    for (const type of /** @type {const} */ (['SRV', 'A'])) {
      const answer = await lookedUp(server.dnsPort, type)
      /** @type {Worker<BareDns>} */
      const bare = await worker('bare-dns')
      const barePort = await bare.call('serve', { answer: answer.toString('base64') })
      const copy = await lookedUp(barePort, type)
      if (!copy.subarray(2).equals(answer.subarray(2)))
        throw new Error('The bare responder does not send the same.')

      const questions = join(directory, `${type}.txt`)
      writeFileSync(questions, `${name} ${type}\n`)
      /** @param {number} port */
      const contestant = (port) => () => perSecond(load, questions, port, smoke ? 1 : 3)
      const Seamark = contestant(server.dnsPort)
      const againstBare = await rounds({ Seamark, bare: contestant(barePort) }, smoke ? 1 : 5)
      report({
        what: `${type}, against a bare dgram responder, the same bytes`,
        ...againstBare.ratio('Seamark', 'bare'),
        goal: goals.bare,
      })
      await bare.close()

      if (agent === undefined) continue
      await soon(() => lookedUp(agent.dnsPort, type))
      const againstConsul = await rounds({ Seamark, Consul: contestant(agent.dnsPort) }, smoke ? 1 : 3)
      report({
        what: `${type}, against Consul's agent`,
        ...againstConsul.ratio('Seamark', 'Consul'),
        goal: goals.consul,
      })
    }
    await Promise.all([agent?.close(), server.close()])
  },
}

/**
 * Asks once, and checks that all instances are in the answer.
 * @param {number} port
 * @param {'A' | 'SRV'} type
 */
async function lookedUp(port, type) {
  const socket = createSocket('udp4')
  try {
    socket.send(question(type), port, '127.0.0.1')
    const [bytes] = /** @type {[Buffer]} */ (
      await once(socket, 'message', { signal: AbortSignal.timeout(5_000) })
    )
    const { answers = [] } = decode(bytes)
    if (answers.length !== instances.length || answers.some((answer) => answer.type !== type))
      throw new Error(`Port ${port} answered with ${answers.length} records for ${name} ${type}.`)
    return bytes
  } finally {
    socket.close()
  }
}

/**
 * As dnsperf asks.
 * @param {'A' | 'SRV'} type
 */
function question(type) {
  /** @type {import('dns-packet').OptAnswer} */
  const option = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: datagramBytes,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  }
  // Recursion is wanted.
  return encode({ type: 'query', id: 1, flags: 0x100, questions: [{ name, type }], additionals: [option] })
}

/**
 * Questions that were answered per second, by dnsperf: 100 under way, from 8 sockets.
 * @param {import('../scripts/programs.js').Program} load
 * @param {string} questions
 * @param {number} port
 * @param {number} seconds
 */
async function perSecond({ file, args, env }, questions, port, seconds) {
  const settings = ['-s', '127.0.0.1', '-p', `${port}`, '-d', questions, '-l', `${seconds}`, '-c', '8', '-e']
  const child = spawn(file, [...args, ...settings], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  endWithUs(child)
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  await once(child, 'close')
  const [speed, lost, fine] = [
    /Queries per second:\s+([\d.]+)/,
    /Queries lost:\s+(\d+)/,
    /NOERROR \d+ \(([\d.]+)%\)/,
  ].map((rule) => Number(rule.exec(said)?.[1] ?? Number.NaN))
  if (speed === undefined || !(speed > 0) || lost !== 0 || fine !== 100)
    throw new Error(`Not every question was answered at port ${port}:\n${said}`)
  return speed
}

/**
 * Tries for 10 s: Consul's catalog follows its agent.
 * @template T
 * @param {() => Promise<T>} attempt
 * @returns {Promise<T>}
 */
async function soon(attempt) {
  for (const end = performance.now() + 10_000; ; ) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
