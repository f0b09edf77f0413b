import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { program } from '../scripts/programs.js'
import { asJson } from './json.js'
import { freePorts, seamarkGateway } from './programs.js'
import { rounds } from './rounds.js'
import { server } from './server.js'
import { worker } from './worker.js'
import { wrk } from './wrk.js'

/** @import { Benchmark } from './figure.js' */
/** @import { Functions as Proxies } from './workers/http-proxy.js' */
/** @import { Functions as Origin } from './workers/origin.js' */
/** @import { Functions as Load } from './workers/load.js' */
/** @import { Worker } from './worker.js' */

const goals = { proxies: { atLeast: 1.1 }, nginx: { atLeast: 0.45 } }
const connections = 64
const path = '/tickets/7?expand=customer'
/** As a client of an API sends them. */
const headers = {
  accept: 'application/json',
  'accept-encoding': 'gzip, deflate, br',
  'user-agent': 'benchmark/1.0',
  cookie: 'session=0123456789abcdef0123456789abcdef',
}
/** Some 1 KB of JSON. */
const body = JSON.stringify({
  id: 7,
  seats: Array.from({ length: 32 }, (_, seat) => ({ seat, price: 4_200, is: 'free' })),
})

/** @type {Benchmark} */
export default {
  name: 'gateway',
  title: `GET ${path} through proxies, with ${body.length} bytes as answer, ${connections} connections`,
  goals,

  async run({ smoke, directory, report, note }) {
    const hasNginx = program('nginx') !== undefined
    const closes = []
    /** @type {string} */
    let origin
    if (hasNginx) {
      const started = await nginx(join(directory, 'origin'), (port) => originConfiguration(port))
      origin = started.url
      closes.push(started.close)
    } else {
      /** @type {Worker<Origin>} */
      const started = await worker('origin')
      origin = await started.call('serve', body)
      closes.push(started.close)
    }

    const gateway = await seamarkGateway()
    closes.push(gateway.close)
    const { hostname: address, port } = new URL(origin)
    await asJson(`${gateway.url}/api/v1/namespaces/default/services/tickets/instances/tickets-1`, {
      method: 'PUT',
      body: { address, port: Number(port), route: { path: '/tickets' } },
    })

    /** @type {Record<string, string>} */
    const urls = { Seamark: gateway.gatewayUrl }
    for (const name of ['http-proxy', 'fastify-http-proxy']) {
      /** @type {Worker<Proxies>} */
      const started = await worker(name)
      urls[name] = await started.call('serve', origin)
      closes.push(started.close)
    }
    if (hasNginx) {
      const started = await nginx(join(directory, 'proxy'), (port) => proxyConfiguration(port, origin))
      urls.nginx = started.url
      closes.push(started.close)
    }
    for (const url of Object.values(urls)) await checked(`${url}${path}`)

    const measure = wrk() ?? (await ownLoad(closes))
    const contestants = Object.fromEntries(
      Object.entries(urls).map(([name, url]) => [
        name,
        () => measure({ url: `${url}${path}`, headers, connections, milliseconds: smoke ? 1_000 : 3_000 }),
      ]),
    )
    const measured = await rounds(contestants, smoke ? 1 : 7)
    const what = (/** @type {string} */ other) => ({
      what: `against ${other}`,
      ...measured.ratio('Seamark', other),
    })
    report({ ...what('http-proxy'), goal: goals.proxies })
    report({ ...what('fastify-http-proxy'), goal: goals.proxies })
    if (hasNginx) report({ ...what('nginx'), goal: goals.nginx })
    else note('nginx is not installed, so not compared: npm run engines:install nginx')
    if (wrk() === undefined) note('wrk is not installed: our own load may have been the limit')
    for (const close of closes.reverse()) await close()
  },
}

/**
 * One worker process of nginx.
 * @param {string} folder
 * @param {(port: number) => string} configuration of its `http`
 */
async function nginx(folder, configuration) {
  mkdirSync(folder)
  const [port = 0] = await freePorts(1)
  const file = join(folder, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder};`,
  )
  writeFileSync(
    file,
    `daemon off;
worker_processes 1;
pid ${join(folder, 'pid')};
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  ${temporary.join('\n  ')}
${configuration(port)}
}
`,
  )
  const close = await server('nginx', {
    args: ['-p', folder, '-c', file, '-e', join(folder, 'errors')],
    folder,
    port,
    question: `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`,
    answer: 'HTTP/1.1 200',
  })
  return { url: `http://127.0.0.1:${port}`, close }
}

/** @param {number} port */
function originConfiguration(port) {
  return `  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { default_type application/json; return 200 '${body}'; }
  }`
}

/**
 * As its documentation advises: connections to the origin are kept.
 * @param {number} port
 * @param {string} origin
 */
function proxyConfiguration(port, origin) {
  return `  upstream tickets { server ${new URL(origin).host}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://tickets;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
    }
  }`
}

/** @param {string} url */
async function checked(url) {
  const response = await fetch(url, { headers })
  const text = await response.text()
  if (response.status !== 200 || text !== body)
    throw new Error(`${url} answered ${response.status}: ${text.slice(0, 200)}`)
}

/**
 * @param {(() => Promise<void>)[]} closes
 * @returns {Promise<(load: import('./wrk.js').WrkLoad) => Promise<number>>}
 */
async function ownLoad(closes) {
  /** @type {Worker<Load>} */
  const load = await worker('load')
  closes.push(load.close)
  return async ({ url, headers, connections, milliseconds }) => {
    const { host, pathname, search } = new URL(url)
    const fields = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
    const { perSecond } = await load.call('run', {
      url,
      requests: [`GET ${pathname}${search} HTTP/1.1\r\n${fields.join('')}\r\n`],
      first: 0,
      connections,
      milliseconds,
      status: '200',
      bytes: body.length,
    })
    return perSecond
  }
}
