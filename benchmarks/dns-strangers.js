// Sends garbage to a DNS server, over UDP and TCP, and checks whatever comes back.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { decode } from 'dns-packet'
import { chance, garbage } from './dns-garbage.js'

/** Datagrams under way at a time: fewer than a socket holds back, so that none is lost. */
const together = 64
/** Of so many, one goes over TCP. */
const overTcp = 16
/** Milliseconds to wait for the answer that shows that the server goes on, and how often. */
const patience = 2_000
const tries = 5
/** Bytes of a datagram that the server sends at most. */
const mostBytes = 1_232

/**
 * @typedef {object} Outcome
 * @property {number} sent
 * @property {number} answered
 * @property {Record<string, number>} codes how often each was the answer
 */

/**
 * Throws as soon as the server does not answer a question that is right, or sends what nobody can read.
 * @param {{ port: number, packets: number, seed: number }} options
 * @returns {Promise<Outcome>}
 */
export async function strangers({ port, packets, seed }) {
  const random = chance(seed)
  const packet = garbage(random)
  const socket = createSocket('udp4')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  /** @type {Outcome} */
  const outcome = { sent: 0, answered: 0, codes: {} }
  /** @type {unknown} */
  let wrong
  let awaited = -1
  /** @type {() => void} */
  let alive = () => {}
  socket.on('message', (answer) => {
    try {
      if (answer.length > mostBytes) throw new Error(`An answer has ${answer.length} bytes.`)
      const code = checked(answer)
      outcome.answered++
      outcome.codes[code] = (outcome.codes[code] ?? 0) + 1
      if (
        answer.readUInt16BE() === awaited &&
        answer.length > 17 &&
        (answer.readUInt16BE(2) & 0x840f) === 0x8400
      )
        alive()
    } catch (error) {
      wrong ??= new Error(`${error instanceof Error ? error.message : error}: ${answer.toString('hex')}`)
      alive()
    }
  })

  /** That it answers what is right shows that it read all that was sent before. */
  async function goesOn() {
    for (let left = tries; left > 0; left--) {
      awaited = Math.floor(random() * 0x1_0000)
      const question = Buffer.concat([Buffer.alloc(12), Buffer.from('\x06consul\0\0\x06\0\x01', 'latin1')])
      question.writeUInt16BE(awaited)
      question[5] = 1
      const came = new Promise((resolve) => {
        alive = () => resolve(true)
      })
      socket.send(question)
      /** @type {NodeJS.Timeout | undefined} */
      let timer
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, patience, false)
      })
      const answered = await Promise.race([came, late])
      clearTimeout(timer)
      if (wrong !== undefined) throw wrong
      if (answered) return
    }
    throw new Error('It does not answer any more.')
  }

  try {
    while (outcome.sent < packets) {
      const batch = Array.from({ length: Math.min(together, packets - outcome.sent) }, packet)
      outcome.sent += batch.length
      if (random() < 1 / overTcp) await talk(port, batch, random)
      else for (const bytes of batch) socket.send(bytes)
      await goesOn()
    }
  } catch (error) {
    throw new Error(
      `After ${outcome.sent} packets of seed ${seed}: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    )
  } finally {
    socket.close()
  }
  return outcome
}

/**
 * Sends them over one connection, as frames that mostly are right, until the server has had enough.
 * @param {number} port
 * @param {readonly Buffer[]} batch
 * @param {() => number} random
 */
async function talk(port, batch, random) {
  const socket = connect({ host: '127.0.0.1', port })
  let received = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
  })
  for (const bytes of batch) {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(random() < 0.98 ? bytes.length : Math.floor(random() * 0x1_0000))
    socket.write(length)
    socket.write(bytes)
  }
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.end()
  await closed
  for (let at = 0; at + 2 <= received.length; ) {
    const end = at + 2 + received.readUInt16BE(at)
    if (end > received.length) throw new Error('A connection ended in the middle of an answer.')
    checked(received.subarray(at + 2, end))
    at = end
  }
}

/**
 * Throws unless somebody else can read it.
 * @param {Buffer} answer
 */
function checked(answer) {
  if (answer.length < 12 || (answer.readUInt16BE(2) & 0x8000) === 0) throw new Error('It is no answer')
  const code = answer.readUInt16BE(2) & 0xf
  // What is said of questions that could not be read holds nothing else, and what recursors say is theirs.
  const recursor = (answer.readUInt16BE(2) & 0x0400) === 0
  if (answer.length > 12 && !recursor) {
    decode(answer)
    if (decode.bytes !== answer.length) throw new Error(`${answer.length - decode.bytes} bytes are left over`)
  }
  return String(code)
}
