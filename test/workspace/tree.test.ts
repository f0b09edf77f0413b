import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sources } from '../../scripts/sources.js'
import { root } from '../../scripts/step.js'

const texts = [...sources(), 'package-lock.json'].map((file) => ({
  file,
  text: readFileSync(join(root, file), 'utf8'),
}))

describe('the tree', () => {
  it('names no package registry, so that it installs from whichever one is configured', () => {
    const configured = execFileSync('npm', ['config', 'get', 'registry'], {
      cwd: root,
      encoding: 'utf8',
      shell: true,
    })
    const { host } = new URL(configured.trim())
    const naming = texts.filter(
      ({ text }) =>
        text.includes(host) || /\bregistry\.(?:npmjs|yarnpkg)\b|\bnpmjs\.(?:com|org)\b/.test(text),
    )
    expect(naming.map(({ file }) => file)).toEqual([])
  })

  it('names no folder of the machine it was written on', () => {
    const folders = [/(?<![\w.])\/(?:home|Users)\/\w/, /(?<![\w.])\/(?:root|work|workspace)\//]
    const naming = texts.filter(({ text }) => folders.some((folder) => folder.test(text)))
    expect(naming.map(({ file }) => file)).toEqual([])
  })
})
