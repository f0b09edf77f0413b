import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { programNames } from '../../scripts/programs.js'
import { root } from '../../scripts/step.js'
import { workspaces } from './workspaces.ts'

function install(...names: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, 'scripts/engines.js'), ...names],
    {
      encoding: 'utf8',
    },
  )
  return { status, stdout, stderr }
}

describe('npm run engines:install', () => {
  it('knows the server of every engine that has one', () => {
    const engines = workspaces.flatMap(({ folder }) => /^engines\/(.*)/.exec(folder)?.[1] ?? [])
    expect(programNames).toEqual(expect.arrayContaining(engines.filter((name) => name !== 'lmdb')))
  })

  it('refuses a name it does not know, and says which it knows', () => {
    expect(install('ectd')).toEqual({
      status: 1,
      stdout: '',
      stderr: `There is no "ectd". Known: ${programNames.join(', ')}.\n`,
    })
  })
})
