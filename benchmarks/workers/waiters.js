// Clients that wait as Consul's do: on sockets of their own, each asks again for what changed since the last answer,
// and notes when it was answered.
import { connect } from 'node:net'
import { answers } from './answers.js'

/** Milliseconds after which one that was not answered counts as forgotten. */
const patience = 60_000
const headEnd = '\r\n\r\n'

/** @type {((text: string) => void)[]} what each waiter does with an answer */
const waiters = []

/**
 * Opens so many, and resolves once each knows the service and waits.
 * @param {{ url: string, path: string, count: number }} request `path` to which `&index=` is added
 */
async function wait({ url, path, count }) {
  const { hostname, port, host } = new URL(url)
  const ask = (/** @type {string} */ index) => `GET ${path}&index=${index} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
  // Some at a time, as the queue of connections that were not accepted yet is bounded.
  for (let opened = 0; opened < count; opened += 200)
    await Promise.all(
      Array.from({ length: Math.min(200, count - opened) }, () => waiter(hostname, Number(port), ask)),
    )
}

/**
 * @param {string} host
 * @param {number} port
 * @param {(index: string) => string} ask
 */
function waiter(host, port, ask) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    socket.setEncoding('latin1')
    const number = waiters.push(resolve) - 1
    let received = ''
    socket.on('data', (text) => {
      received += text
      const end = received.indexOf(headEnd)
      if (end < 0) return
      const head = received.slice(0, end)
      const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? []
      // Consul says of long answers that they come in chunks.
      if (
        length === undefined
          ? !received.endsWith('\r\n0\r\n\r\n')
          : received.length < end + 4 + Number(length)
      )
        return
      const answer = received
      received = ''
      const [, index] = /\r\nx-consul-index: *(\d+)/i.exec(head) ?? []
      if (!head.startsWith('HTTP/1.1 200') || index === undefined) {
        fail(new Error(`A waiter was answered: ${answer.slice(0, 500)}`))
        return
      }
      waiters[number]?.(answer)
      socket.write(ask(index))
    })
    socket.once('error', reject)
    socket.once('close', () => fail(new Error('The server closed the connection of a waiter.')))
    socket.once('connect', () => socket.write(ask('0')))
  })
}

/** @type {(error: Error) => void} what to do when a waiter is not served */
let fail = (error) => {
  throw error
}

/** @type {Promise<number[]>} */
let moments = Promise.resolve([])

/**
 * From now on, the next answer of each waiter must have this text.
 * @param {string} expected
 */
function expect(expected) {
  /** @type {number[]} */
  const found = []
  moments = new Promise((resolve, reject) => {
    fail = reject
    const late = () =>
      reject(new Error(`${found.length} of ${waiters.length} waiters were told of ${expected}.`))
    const timer = setTimeout(late, patience)
    for (const number of waiters.keys())
      waiters[number] = (answer) => {
        const moment = now()
        if (!answer.includes(expected)) {
          reject(new Error(`Waiters wait for ${expected}, and were told: ${answer.slice(0, 2_000)}`))
          return
        }
        if (found.push(moment) < waiters.length) return
        clearTimeout(timer)
        resolve(found)
      }
  })
  // Whoever asks is told of the failure.
  moments.catch(() => {})
}

/** Resolves once all waiters were told: at which moments (ms of the machine's monotonic clock). */
function told() {
  return moments
}

/** A clock that all processes of the machine share. */
function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

const functions = { wait, expect, told }
/** @typedef {typeof functions} Functions */
answers(functions)
