import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { program } from '../scripts/programs.js'
import { endWithUs, withOpenFiles } from './worker.js'

/**
 * A program as its users run it.
 * @typedef {object} Program
 * @property {string} url of its HTTP API
 * @property {number} dnsPort of its DNS
 * @property {number} took milliseconds from its start until it answered
 * @property {() => Promise<void>} close
 */

const command = fileURLToPath(new URL('../packages/cli/bin/seamark.js', import.meta.url))

/**
 * A Seamark server, by its own command.
 * @param {string} engine `memory:` or `lmdb:DIRECTORY`
 * @param {{ openFiles?: number }} [options] how many files it may open
 * @returns {Promise<Program>}
 */
export async function seamark(engine, { openFiles } = {}) {
  const settings = ['--engine', engine, '--port', '0', '--dns-port', '0', '--json', '--log-level', 'error']
  const line = withOpenFiles([process.execPath, command, 'server', ...settings], openFiles)
  const { stdout, took, close } = await start(line, { read: true })
  const { url, dns } = JSON.parse(stdout)
  return { url, dnsPort: dns.port, took, close }
}

/**
 * A Seamark server with a gateway in it, by its own command.
 * @returns {Promise<{ url: string, gatewayUrl: string, close: () => Promise<void> }>}
 */
export async function seamarkGateway() {
  const settings = [
    '--engine',
    'memory:',
    '--port',
    '0',
    '--dns-port',
    'off',
    '--json',
    '--log-level',
    'error',
  ]
  const gateway = ['--gateway', '--gateway-port', '0', '--gateway-status-port', 'off']
  const line = /** @type {const} */ ([process.execPath, command, 'server', ...settings, ...gateway])
  const { stdout, close } = await start([...line, '--gateway-request-log', 'off'], { read: true })
  const { url, gateway: shown } = JSON.parse(stdout)
  return { url, gatewayUrl: shown.url, close }
}

/**
 * Consul's agent as a single server, or `undefined` where it is not installed. Not with `-dev`: then it would indent its
 * JSON, which costs it time.
 * @param {string} directory keeps its data there
 * @param {{ openFiles?: number }} [options] how many files it may open
 * @returns {Promise<Program | undefined>}
 */
export async function consulAgent(directory, { openFiles } = {}) {
  const consul = program('consul')
  if (consul === undefined) return undefined
  const [http, server, serf, dns = 0] = await freePorts(4)
  const settings = {
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    log_level: 'ERR',
    // Not more connections than we make from one address, which is what it allows by default.
    limits: { http_max_conns_per_client: 10_000 },
    // What Consul's documentation advises for production: a leader is found sooner.
    performance: { raft_multiplier: 1 },
    ports: { http, server, serf_lan: serf, serf_wan: -1, dns, grpc: -1 },
  }
  const role = ['-server', '-bootstrap-expect=1', `-data-dir=${directory}`]
  const begun = performance.now()
  const line = withOpenFiles([consul.file, 'agent', ...role, '-hcl', JSON.stringify(settings)], openFiles)
  const { close } = await start(line, { read: false })
  const url = `http://127.0.0.1:${http}`
  for (;;) {
    /** @type {unknown} */
    const nodes = await fetch(`${url}/v1/health/service/consul?passing`).then(
      (response) => (response.ok ? response.json() : []),
      () => [],
    )
    if (Array.isArray(nodes) && nodes.length === 1)
      return { url, dnsPort: dns, took: performance.now() - begun, close }
    if (performance.now() - begun > 30_000) throw new Error('Consul did not become ready within 30 s.')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** What a benchmark says where Consul is not. */
export const withoutConsul = 'Consul is not installed, so not compared: npm run engines:install consul'

/**
 * @param {readonly [string, ...string[]]} line
 * @param {{ read: boolean }} options whether to wait for a JSON document on its standard output
 */
async function start([program, ...args], { read }) {
  const begun = performance.now()
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  endWithUs(child)
  const ended = once(child, 'exit')
  let stdout = ''
  child.stdout.setEncoding('utf8')
  await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) =>
      reject(new Error(`${program} ended with ${signal ?? code}: ${stdout}`)),
    )
    child.stdout.on('data', (text) => {
      if (read) stdout += text
      if (isJson(stdout)) resolve(undefined)
    })
    if (!read) child.once('spawn', resolve)
  })
  return {
    stdout,
    took: performance.now() - begun,
    async close() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** @param {string} text */
function isJson(text) {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/**
 * Ports that were free a moment ago.
 * @param {number} count
 */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}
