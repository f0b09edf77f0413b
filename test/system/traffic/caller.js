// @ts-check
// The caller, as a process of its own: node caller.js WAY URL OPTIONS. First it asks until it has met three instances. Then it sends each
// request at its time, whether those before were answered or not, until it is told to stop; all the while it tells how far it is,
// and at the end what came of each request.
import { connect, dispatcher as dispatcherOf, interceptor } from '@seamark/client'
import { Agent, request } from 'undici'

const [way = '', url = '', given = ''] = process.argv.slice(2)
const { rate = 500, ...options } = JSON.parse(given)
const methods = /** @type {const} */ (['GET', 'POST', 'PUT', 'POST'])

/**
 * Ways to get to the service: where it is for undici's `request`, and what there is to close.
 * @type {Record<string, () => { dispatcher: import('undici').Dispatcher, origin: string, discovery?: AsyncDisposable }>}
 */
const ways = {
  client() {
    const discovery = connect(url)
    return { dispatcher: dispatcherOf(discovery, options), origin: 'http://api.seamark', discovery }
  },
  interceptor() {
    const discovery = connect(url)
    const dispatcher = new Agent().compose(interceptor(discovery, options))
    return { dispatcher, origin: 'http://api.seamark', discovery }
  },
  gateway: () => ({ dispatcher: new Agent(), origin: url }),
}

// The test is gone.
process.once('disconnect', () => process.exit(1))

const { dispatcher, origin, discovery } = /** @type {(typeof ways)[string]} */ (ways[way])()

/** Beginnings and ends of requests, in their order. */
let events = 0
let answered = 0
/** @type {Set<string>} */
const met = new Set()
/** @type {import('./caller-process.ts').Outcome[]} */
const outcomes = []

/**
 * Answers the instance that answered; throws if none did as it should.
 * @param {string} path
 * @param {(typeof methods)[number]} method
 */
async function ask(path, method) {
  const body = method === 'GET' ? null : `body of ${path}`
  const headers = { 'content-type': 'text/plain' }
  const response = await request(`${origin}/api/${path}`, { dispatcher, method, body, headers })
  const text = await response.body.text()
  if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${text}`)
  if (text !== (body ?? '')) throw new Error(`Not what was sent: ${text}`)
  return String(response.headers['x-instance'])
}

/** @param {number} number */
async function send(number) {
  const method = methods[number % methods.length] ?? 'GET'
  const begun = events++
  const result = await ask(String(number), method).then(
    (instance) => ({ instance }),
    (error) => ({ failure: String(error) }),
  )
  if ('instance' in result) {
    answered++
    met.add(result.instance)
  }
  outcomes.push({ name: `${method} ${number}`, method, begun, ended: events++, ...result })
}

while (met.size < 3) {
  // Before everything is known, there may be nobody yet.
  const instance = await ask('first', 'GET').catch(() => undefined)
  if (instance !== undefined) met.add(instance)
  await new Promise((resolve) => setTimeout(resolve, 10))
}

/** @type {Set<Promise<void>>} */
const underway = new Set()
let sent = 0
const since = performance.now()
const clock = setInterval(() => {
  const due = ((performance.now() - since) / 1_000) * rate
  // What was missed while a busy machine kept this waiting is made up for, but not all at once.
  for (let most = 2; sent < due && most > 0; sent++, most--) {
    const sending = send(sent).finally(() => underway.delete(sending))
    underway.add(sending)
  }
}, 1)
const reporter = setInterval(() => process.send?.({ answered, met: [...met] }), 50)

process.once('message', async () => {
  clearInterval(clock)
  await Promise.all(underway)
  clearInterval(reporter)
  process.send?.({ outcomes })
  await dispatcher.close()
  await discovery?.[Symbol.asyncDispose]()
})
