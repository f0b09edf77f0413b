// A crowd of watchers: streams of /api/v1/watch on sockets of their own, which note when they were told of something.
import { connect } from 'node:net'
import { answers } from './answers.js'

/** Milliseconds after which a watcher that was not told counts as forgotten. */
const patience = 30_000

/** @type {((text: string) => void)[]} what each watcher does with a batch of events */
const watchers = []

/**
 * Opens so many streams, and resolves once each has its first state.
 * @param {{ url: string, service: string, count: number }} request
 */
async function watch({ url, service, count }) {
  const { hostname: host, port } = new URL(url)
  const request = `GET /api/v1/watch?service=${service} HTTP/1.1\r\nHost: ${host}:${port}\r\nAccept: text/event-stream\r\n\r\n`
  // Some at a time, as the queue of connections that were not accepted yet is bounded.
  for (let opened = 0; opened < count; opened += 200)
    await Promise.all(
      Array.from({ length: Math.min(200, count - opened) }, () => stream(host, Number(port), request)),
    )
}

/**
 * @param {string} host
 * @param {number} port
 * @param {string} request
 */
function stream(host, port, request) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true })
    socket.setEncoding('latin1')
    const index = watchers.push(resolve) - 1
    let batch = ''
    socket.on('data', (text) => {
      batch += text
      // Nothing is to be applied before this event, which closes a batch.
      const applied = batch.lastIndexOf('event: applied')
      if (applied < 0 || batch.indexOf('\n\n', applied) < 0) return
      const told = batch
      batch = ''
      watchers[index]?.(told)
    })
    socket.once('error', reject)
    socket.once('close', () => fail(new Error('The server ended a stream.')))
    socket.once('connect', () => socket.write(request))
  })
}

/** @type {(error: Error) => void} what to do when a stream breaks */
let fail = (error) => {
  throw error
}

/** @type {Promise<number[]>} */
let moments = Promise.resolve([])

/**
 * From now on, the next thing that each watcher is told must be this instance.
 * @param {string} id
 */
function expect(id) {
  /** @type {number[]} */
  const found = []
  moments = new Promise((resolve, reject) => {
    fail = reject
    const late = () => reject(new Error(`${found.length} of ${watchers.length} watchers were told of ${id}.`))
    const timer = setTimeout(late, patience)
    const instance = `"id":"${id}"`
    for (const index of watchers.keys())
      watchers[index] = (text) => {
        const moment = now()
        if (!text.includes(instance))
          return reject(new Error(`Watchers wait for ${id}, and were told: ${text}`))
        if (found.push(moment) < watchers.length) return
        clearTimeout(timer)
        resolve(found)
      }
  })
  // Whoever asks is told of the failure.
  moments.catch(() => {})
}

/** Resolves once all watchers were told: at which moments (ms of the machine's monotonic clock). */
function told() {
  return moments
}

/** A clock that all processes of the machine share. */
function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

const functions = { watch, expect, told }
/** @typedef {typeof functions} Functions */
answers(functions)
