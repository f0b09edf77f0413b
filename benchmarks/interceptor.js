import { connect, dispatcher, interceptor } from '@seamark/client'
import { Pool } from 'undici'
import { rounds } from './rounds.js'
import { worker } from './worker.js'

/** @import { Dispatcher } from 'undici' */
/** @import { Benchmark } from './figure.js' */
/** @import { Functions as BareHttp } from './workers/bare-http.js' */
/** @import { Worker } from './worker.js' */

const inFlight = 32
const instances = 10
const body = JSON.stringify({ hello: 'world' })
const goals = { plain: { atLeast: 0.9 } }

/** @type {Benchmark} */
export default {
  name: 'interceptor',
  title: `requests to a service by its name, ${inFlight} in flight, per second of processor time`,
  goals,

  async run({ smoke, report }) {
    /** @type {Worker<BareHttp>} */
    const server = await worker('bare-http')
    const headers = /** @type {[string, string][]} */ ([['content-type', 'application/json']])
    const url = await server.call('serve', { headers, body, keepAliveTimeout: 5_000 })
    const { hostname, port } = new URL(url)
    const discovery = connect('memory:', { signals: false })
    // All of them the same server: its connections are shared, as those of the plain pool.
    for (let index = 0; index < instances; index++)
      await discovery.announce({ name: 'api', address: hostname, port: Number(port), drain: 0 })
    await discovery.find('api')

    const plain = new Pool(url)
    const own = dispatcher(discovery)
    const agent = new Pool(url)
    const composed = agent.compose(interceptor(discovery))
    const milliseconds = smoke ? 200 : 1_000
    // What undici itself takes for an interceptor, whatever that does.
    const empty = agent.compose((dispatch) => (options, handler) => dispatch(options, handler))
    const named = 'http://api.seamark'
    const requests = await rounds(
      {
        plain: () => requested(plain, url, milliseconds),
        dispatcher: () => requested(own, named, milliseconds),
        interceptor: () => requested(composed, named, milliseconds),
        empty: () => requested(empty, url, milliseconds),
      },
      smoke ? 1 : 15,
    )
    const dispatches = await rounds(
      {
        plain: () => dispatched(plain, url, milliseconds),
        dispatcher: () => dispatched(own, named, milliseconds),
        interceptor: () => dispatched(composed, named, milliseconds),
        empty: () => dispatched(empty, url, milliseconds),
      },
      smoke ? 1 : 15,
    )
    for (const [name, what, goal] of /** @type {const} */ ([
      ['dispatcher', 'dispatcher()', goals.plain],
      ['interceptor', 'compose(interceptor())', goals.plain],
      ['empty', 'compose(an empty interceptor)', undefined],
    ])) {
      report({ what: `${what}, by request()`, ...requests.ratio(name, 'plain'), ...(goal && { goal }) })
      report({ what: `${what}, by bare dispatch()`, ...dispatches.ratio(name, 'plain') })
    }
    await Promise.all([plain.destroy(), own.destroy(), agent.destroy(), discovery.close(), server.close()])
  },
}

/**
 * As applications do it.
 * @param {Dispatcher} dispatcher
 * @param {string} origin
 * @param {number} milliseconds
 */
async function requested(dispatcher, origin, milliseconds) {
  const perSecond = answeredPerSecond()
  const end = performance.now() + milliseconds
  let answered = 0
  const one = async () => {
    while (performance.now() < end) {
      const answer = await dispatcher.request({ origin, path: '/', method: 'GET' })
      const text = await answer.body.text()
      if (answer.statusCode !== 200 || text !== body)
        throw new Error(`Answered ${answer.statusCode}: ${text}`)
      answered++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  return perSecond(answered)
}

/**
 * With nothing on top: what a gateway does.
 * @param {Dispatcher} dispatcher
 * @param {string} origin
 * @param {number} milliseconds
 * @returns {Promise<number>}
 */
function dispatched(dispatcher, origin, milliseconds) {
  const perSecond = answeredPerSecond()
  const end = performance.now() + milliseconds
  let answered = 0
  let underway = 0
  return new Promise((resolve, reject) => {
    class Handler {
      bytes = 0
      onConnect() {}
      /** @param {number} status */
      onHeaders(status) {
        if (status !== 200) reject(new Error(`Answered ${status}`))
        return true
      }
      /** @param {Buffer} chunk */
      onData(chunk) {
        this.bytes += chunk.length
        return true
      }
      onComplete() {
        if (this.bytes !== body.length) reject(new Error(`Answered ${this.bytes} bytes`))
        answered++
        underway--
        if (performance.now() < end) next()
        else if (underway === 0) resolve(perSecond(answered))
      }
      onError = reject
    }
    const next = () => {
      underway++
      dispatcher.dispatch({ origin, path: '/', method: 'GET' }, new Handler())
    }
    for (let n = 0; n < inFlight; n++) next()
  })
}

/** Of the time that this process computes from now on: what it waits for the server is no matter, nor what else the machine does. */
function answeredPerSecond() {
  const begun = process.cpuUsage()
  return (/** @type {number} */ answered) => {
    const { user, system } = process.cpuUsage(begun)
    return (answered / (user + system)) * 1_000_000
  }
}
