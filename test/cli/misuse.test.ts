import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { workspaces } from '../workspace/workspaces.ts'
import { seamark } from './seamark.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-misuse-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('seamark', () => {
  it('prints its version', async () => {
    const version = workspaces.find(({ manifest }) => manifest.name === 'seamark')?.manifest.version
    expect(await seamark(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('prints its help when asked, and as an error when nothing was asked', async () => {
    const help = await seamark(['--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toMatch(/^Usage: seamark \[options\] \[command\]\n/)
    expect(await seamark([])).toEqual({ code: 2, signal: null, stdout: '', stderr: help.stdout })
  })

  it('prints the same help of a command both ways', async () => {
    const help = await seamark(['find', '--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toMatch(/^Usage: seamark find .*\nExamples:\n {2}# .*\n {2}seamark find /s)
    expect(await seamark(['help', 'find'])).toEqual(help)
  })

  it.each([
    [
      'an unknown command',
      ['regster'],
      "unknown command 'regster' (Did you mean register?)",
      'seamark --help',
    ],
    [
      'an unknown option',
      ['find', 'api', '--jsn'],
      "unknown option '--jsn' (Did you mean --json?)",
      'seamark find --help',
    ],
    ['a missing argument', ['find'], "missing required argument 'service'", 'seamark find --help'],
    ['too many arguments', ['find', 'api', 'www'], "too many arguments for 'find'", 'seamark find --help'],
    [
      'a missing value',
      ['server', '--port'],
      "option '--port <port>' argument missing",
      'seamark server --help',
    ],
  ])('refuses %s, and says where help is', async (_, words, message, help) => {
    const { code, stdout, stderr } = await seamark(words)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`seamark: ${message}`)
    expect(stderr).toContain(`How it goes: ${help}\n`)
  })

  it.each([
    [
      'a shared option of another kind of command',
      ['--url', 'http://a', 'server'],
      'seamark server takes no --url.',
    ],
    [
      'an instance without a port',
      ['register', 'api'],
      'Say which port the instance listens on: --port 3000',
    ],
    ['a command to run without "--"', ['register', 'api', 'node', 'app.js'], '"node app.js" is too much.'],
    ['no service before "--"', ['register', '--', 'node'], '<service> is missing before "--".'],
    [
      'no command after "--"',
      ['register', 'api', '--port', '1', '--'],
      'The command to run is missing after "--".',
    ],
    ['maintenance that is neither', ['maintenance', 'api', 'i1'], 'Say which of both:'],
    ['a URL that is none', ['find', 'api', '--url', 'localhost:8500'], 'not "localhost:8500"'],
    [
      'a value of the wrong type',
      ['server', '--port', 'x'],
      '--port must be a whole number from 0 to 65535, not "x".',
    ],
    [
      'a filter of the wrong value',
      ['instances', 'api', '--health', 'ok'],
      '--health must be one of passing, warning',
    ],
    [
      'a URL with a password, which it does not show',
      ['find', 'api', '--url', 'http://ann:secret@127.0.0.1:1'],
      'must hold no user and no password, as that at http://127.0.0.1:1 does',
    ],
    [
      'a wrong URL with a password, which it does not show',
      ['find', 'api', '--url', 'http://ann:secret@127.0.0.1:99999'],
      'not "http://127.0.0.1:99999"',
    ],
    [
      'an engine that is none, whose password it does not show',
      ['server', '--engine', 'Redis://ann:secret@127.0.0.1'],
      '"Redis://127.0.0.1" is not the URL of an engine',
    ],
    ['an engine that is none', ['server', '--engine', 'data'], '"data" is not the URL of an engine'],
    ['an engine that is not installed', ['server', '--engine', 'nosuch://a'], 'npm install @seamark/nosuch'],
  ])('refuses %s', async (_, words, message) => {
    const { code, stdout, stderr } = await seamark(words)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^seamark: /)
    expect(stderr).toContain(message)
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it('refuses an unknown variable and an unknown key, each with the nearest one', async () => {
    const variable = await seamark(['services'], { environment: { SEAMARK_PROT: '' } })
    expect(variable).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Did you mean "SEAMARK_PORT"?'),
    })
    writeFileSync(join(folder, 'seamark.yaml'), 'port: 8500\nnamspace: a\n')
    const key = await seamark(['services'], { folder })
    expect(key).toMatchObject({ code: 2 })
    expect(key.stderr).toBe(
      'seamark: seamark.yaml:2: there is no option "namspace". Did you mean "namespace"?\n',
    )
  })

  it('says that no server answers, which, and why', async () => {
    const { port, close } = await teapot()
    await close()
    const url = `http://127.0.0.1:${port}`
    const { code, stdout, stderr } = await seamark(['services', '--url', url])
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(stderr).toContain(`No Seamark server answers: ${url} (connection refused).`)
    expect(stderr).toContain('seamark server')
    const program = await seamark(['services', '--url', url, '--json'])
    expect(program).toMatchObject({ code: 4, stdout: '' })
    expect(JSON.parse(program.stderr)).toEqual({
      error: { code: 'engine_unavailable', message: expect.stringContaining(url) },
    })
    expect((await seamark(['watch', '--url', url])).code).toBe(4)
  })

  it('says that what answers is no Seamark server', async () => {
    const { port, close } = await teapot()
    const { code, stderr } = await seamark(['services', '--url', `http://127.0.0.1:${port}`])
    await close()
    expect(code).toBe(1)
    expect(stderr).toContain('answered 418 and is no Seamark server')
  })

  it('shows causes and stacks with --verbose only', async () => {
    const { port, close } = await teapot()
    await close()
    const words = ['services', '--url', `http://127.0.0.1:${port}`]
    expect((await seamark(words)).stderr).not.toMatch(/^\s+at /m)
    expect((await seamark([...words, '--verbose'])).stderr).toMatch(/^\s+at .*ECONNREFUSED/ms)
  })
})

/** A port of an HTTP server that is a teapot; nobody's once closed. */
async function teapot() {
  const server = createServer((_, response) => response.writeHead(418).end('<html>'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}
