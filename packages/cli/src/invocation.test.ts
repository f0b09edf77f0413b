import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { invocation } from './invocation.ts'

const folder = mkdtempSync(join(tmpdir(), 'seamark-invocation-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('how the command line is called', () => {
  it('is through npx in a project that has it, and below', () => {
    const project = join(folder, 'project')
    mkdirSync(join(project, 'node_modules/.bin'), { recursive: true })
    mkdirSync(join(project, 'below'))
    writeFileSync(join(project, 'node_modules/.bin/seamark'), '')
    expect(invocation(project, '/opt/seamark.js')).toBe('npx seamark')
    expect(invocation(join(project, 'below'), '/opt/seamark.js')).toBe('npx seamark')
  })

  it('is by its name where it is installed for all', () => {
    expect(invocation(folder, '/usr/local/bin/seamark')).toBe('seamark')
  })

  it('is by its file elsewhere, in quotes where a shell needs them', () => {
    expect(invocation(folder, '/opt/bin/seamark.js')).toBe('node /opt/bin/seamark.js')
    expect(invocation(folder, "/opt/it's here/seamark.js")).toBe("node '/opt/it'\\''s here/seamark.js'")
  })
})
