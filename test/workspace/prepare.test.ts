import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../scripts/step.js'

describe('prepare', () => {
  // A workspace of its own, whose compiler is ours, so that nothing is downloaded and nothing here is disturbed.
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'seamark-prepare-')))

  function write(file: string, content: string | object): void {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), typeof content === 'string' ? content : JSON.stringify(content))
  }

  function program(command: string, ...args: string[]) {
    const shell = process.platform === 'win32'
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8', shell })
    return { status, stdout, stderr }
  }

  const prepare = () => program(process.execPath, 'scripts/prepare.js')
  const did = (stdout: string) => ({ status: 0, stdout, stderr: '' })

  beforeAll(() => {
    cpSync(join(root, 'scripts'), join(folder, 'scripts'), { recursive: true })
    write('package.json', { type: 'module', engines: { node: '>=20.19' }, workspaces: ['packages/*'] })
    write('packages/typescript/package.json', { name: 'typescript', version: '7.0.0' })
    const compiler = pathToFileURL(join(root, 'node_modules/typescript/bin/tsc'))
    write('packages/typescript/bin/tsc', `import(${JSON.stringify(compiler)})`)
    write('packages/a/package.json', { name: 'a', version: '1.0.0' })
    write('packages/a/src/index.ts', 'export const a = 1\n')
    write('packages/a/tsconfig.json', {
      compilerOptions: {
        composite: true,
        rootDir: 'src',
        outDir: 'dist',
        tsBuildInfoFile: 'dist/.tsbuildinfo',
        types: [],
      },
      include: ['src'],
    })
    write('tsconfig.json', { files: [], references: [{ path: 'packages/a' }] })
    mkdirSync(join(folder, 'engines'))
    expect(program('npm', 'install', '--package-lock-only', '--offline').status).toBe(0)
  })

  afterAll(() => rmSync(folder, { recursive: true }))

  it('installs and builds in a fresh clone', () => {
    expect(prepare()).toEqual(did('Installing packages …\nBuilding …\n'))
    expect(existsSync(join(folder, 'packages/a/dist/index.js'))).toBe(true)
  })

  it('does nothing, and says nothing, the second time', () => {
    expect(prepare()).toEqual(did(''))
  })

  it('builds what has changed, and only that', () => {
    write('packages/a/src/index.ts', 'export const a = 2\n')
    expect(prepare()).toEqual(did('Building …\n'))
    expect(prepare()).toEqual(did(''))
  })

  it('builds what was deleted', () => {
    rmSync(join(folder, 'packages/a/dist'), { recursive: true })
    expect(prepare()).toEqual(did('Building …\n'))
  })

  it('installs again when a manifest has changed', () => {
    write('packages/a/package.json', { name: 'a', version: '1.0.1' })
    expect(program('npm', 'install', '--package-lock-only', '--offline').status).toBe(0)
    expect(prepare().stdout).toContain('Installing packages …\n')
    expect(prepare()).toEqual(did(''))
  })

  it('fails with the compiler, every time until it is mended', () => {
    write('packages/a/src/index.ts', 'export const a: string = 1\n')
    for (const { status, stdout } of [prepare(), prepare()]) {
      expect(status).not.toBe(0)
      expect(stdout).toContain("Type 'number' is not assignable to type 'string'")
    }
    write('packages/a/src/index.ts', 'export const a = 3\n')
    expect(prepare()).toEqual(did('Building …\n'))
  })

  it('says so when Node.js is too old', () => {
    write('package.json', { type: 'module', engines: { node: '>=100.1' }, workspaces: ['packages/*'] })
    const { status, stdout, stderr } = prepare()
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toBe(
      `Seamark needs Node.js 100.1 or newer, and this is ${process.versions.node}. See https://nodejs.org\n`,
    )
  })
})
