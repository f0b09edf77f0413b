// Makes HTTP requests as fast as they are answered: on each connection the next one once the last is answered. Written
// on bare sockets, as a client that parsed every answer would be slower than the servers it measures.
import { connect } from 'node:net'
import { performance } from 'node:perf_hooks'
import { answers } from './answers.js'

/**
 * @typedef {object} Load
 * @property {string} url of the server
 * @property {readonly string[]} requests whole, sent in turn; `{{number}}` becomes a number of 8 digits, another each time
 * @property {number} first the first of those numbers
 * @property {number} [numbers] how many different ones; default all are
 * @property {number} connections
 * @property {number} [milliseconds] how long; either this or `count`
 * @property {number} [count] how many requests
 * @property {string} status that every answer's status must begin with
 * @property {number} bytes that every answer must have at least
 *
 * @typedef {object} Outcome
 * @property {number} count answered
 * @property {number} perSecond
 * @property {number} busy share of the time in which this process was: near 1, it is the load that was measured
 */

const headEnd = Buffer.from('\r\n\r\n')
const lastChunk = Buffer.from('\r\n0\r\n\r\n')
const mark = '{{number}}'

/**
 * @param {Load} load
 * @returns {Promise<Outcome>}
 */
async function run({
  url,
  requests,
  first,
  numbers = Number.POSITIVE_INFINITY,
  connections,
  milliseconds = Number.POSITIVE_INFINITY,
  count = Number.POSITIVE_INFINITY,
  status,
  bytes,
}) {
  const { hostname: host, port } = new URL(url)
  const sockets = await Promise.all(Array.from({ length: connections }, () => opened(host, Number(port))))
  const prepared = requests.map((text) => {
    const [before = '', ...rest] = text.split(mark)
    const buffer = Buffer.from(text)
    return rest.length === 0
      ? () => buffer
      : (/** @type {number} */ number) => {
          const digits = String(number).padStart(8, '0')
          return rest.reduce((text, part) => text + digits + part, before)
        }
  })
  let sent = 0
  let received = 0
  const utilization = performance.eventLoopUtilization()
  const begun = performance.now()
  const deadline = begun + milliseconds
  await Promise.all(
    sockets.map(
      (exchange) =>
        new Promise((resolve, reject) => {
          const send = () => {
            if (sent === count || performance.now() >= deadline) return resolve(undefined)
            const number = sent++
            const request = /** @type {(number: number) => string | Buffer} */ (
              prepared[number % prepared.length]
            )
            exchange.begin(request(first + (number % numbers)), (error, answer) => {
              if (error !== undefined) return reject(error)
              if (!answer.status.startsWith(status) || answer.bytes < bytes)
                return reject(
                  new Error(
                    `Answered ${answer.status} with ${answer.bytes} bytes; expected ${status} with ${bytes}: ${answer.start}`,
                  ),
                )
              received++
              send()
            })
          }
          send()
        }),
    ),
  )
  const took = performance.now() - begun
  for (const exchange of sockets) exchange.close()
  return {
    count: received,
    perSecond: (received / took) * 1_000,
    busy: performance.eventLoopUtilization(utilization).utilization,
  }
}

/**
 * @typedef {{ status: string, bytes: number, start: string }} Answer
 * @typedef {(error: Error | undefined, answer: Answer) => void} Done
 */

/**
 * @param {string} host
 * @param {number} port
 * @returns {Promise<{ begin(request: string | Buffer, done: Done): void, close(): void }>}
 */
function opened(host, port) {
  return new Promise((resolve, reject) => {
    /** @type {Done | undefined} */
    let done
    /** @type {Buffer | undefined} what came of a head that is not complete */
    let early
    let status = ''
    let start = ''
    let bytes = 0
    /** Bytes of the body, or -1 while chunks come. */
    let expected = 0
    let inBody = false
    /** The last bytes that came, however they were cut. */
    let tail = Buffer.alloc(0)

    /** @param {Buffer} chunk valid during the call only */
    const received = (chunk) => {
      if (inBody) bytes += chunk.length
      else {
        const data = early === undefined ? chunk : Buffer.concat([early, chunk])
        const end = data.indexOf(headEnd)
        if (end < 0) {
          early = Buffer.from(data)
          return
        }
        early = undefined
        const head = data.toString('latin1', 0, end)
        status = head.slice(9, 12)
        expected = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? -1)
        bytes = data.length - end - headEnd.length
        start = status.startsWith('2') ? '' : data.toString('latin1', 0, 500)
        inBody = true
      }
      if (expected < 0) {
        tail = Buffer.concat([tail, chunk.subarray(-lastChunk.length)]).subarray(-lastChunk.length)
        if (!tail.equals(lastChunk)) return
      } else if (bytes < expected) return
      inBody = false
      done?.(undefined, { status, bytes, start })
    }
    /** @param {Error} error */
    const failed = (error) => {
      reject(error)
      done?.(error, { status, bytes, start })
    }
    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(65_536),
        callback(length, buffer) {
          received(/** @type {Buffer} */ (buffer).subarray(0, length))
          return true
        },
      },
    })
    socket.once('error', failed)
    socket.once('close', () => failed(new Error('The server closed the connection.')))
    socket.once('connect', () =>
      resolve({
        begin(request, next) {
          done = next
          socket.write(request)
        },
        close() {
          done = undefined
          socket.destroy()
        },
      }),
    )
  })
}

const functions = { run }
/** @typedef {typeof functions} Functions */
answers(functions)
