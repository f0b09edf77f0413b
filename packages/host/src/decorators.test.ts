import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Compiles a program with the compiler that services have, and runs it: Node.js has no decorators of its own. */
function run(program: string): string {
  // Below the root, so that it finds the packages.
  const folder = join(root, 'node_modules/.cache/seamark/decorators')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  cpSync(fileURLToPath(new URL(`../test/${program}.ts`, import.meta.url)), join(folder, `${program}.ts`))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.base.json'),
      compilerOptions: { composite: false, declaration: false, declarationMap: false, sourceMap: false },
      include: ['*.ts'],
    }),
  )
  const execute = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
    expect(`${status} ${stderr}${status === 0 ? '' : stdout}`).toBe('0 ')
    return stdout
  }
  execute(join(root, 'node_modules/typescript/bin/tsc'), '--project', folder)
  return execute(`${program}.js`)
}

it('hosts objects of a class with @Service, and calls its methods with @Start and @Stop', () => {
  expect(JSON.parse(run('decorated'))).toEqual({
    name: 'auth',
    tags: ['blue'],
    lines: [
      'auth opens at 127.0.0.1:3000',
      'auth is warm, 42, 0',
      'base closes',
      'auth says goodbye, after #warm',
    ],
    others: [],
    refusal: expect.stringContaining('never is static'),
  })
})
