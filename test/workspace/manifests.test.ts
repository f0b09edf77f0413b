import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { root } from '../../scripts/step.js'
import { rootManifest, workspaces } from './workspaces.ts'

describe.each(workspaces.map(({ folder, manifest }) => ({ name: manifest.name, folder, manifest })))(
  '$name',
  ({ name, folder, manifest }) => {
    it('says what it is, and under which terms', () => {
      expect(name).toMatch(/^(?:@seamark\/[a-z0-9-]+|seamark)$/)
      expect(manifest.description).toMatch(/\S/)
      expect(manifest).toMatchObject({
        version: workspaces[0]?.manifest.version,
        license: 'Apache-2.0',
        type: 'module',
        engines: rootManifest.engines,
      })
    })

    it('depends on its siblings at their own version', () => {
      const { dependencies, devDependencies, peerDependencies } = manifest
      const all = Object.entries({ ...peerDependencies, ...devDependencies, ...dependencies })
      for (const [dependency, range] of all) {
        const sibling = workspaces.find((workspace) => workspace.manifest.name === dependency)
        if (sibling) expect(range, dependency).toBe(sibling.manifest.version)
      }
    })

    it('exports files that exist, with their types', () => {
      for (const [subpath, conditions] of Object.entries(manifest.exports ?? {})) {
        expect(Object.keys(conditions), subpath).toEqual(['seamark:source', 'types', 'default'])
        for (const file of Object.values(conditions))
          expect(existsSync(join(root, folder, file)), file).toBe(true)
      }
    })

    it('resolves by its name to what it exports', () => {
      const targets = Object.entries(manifest.exports ?? {})
      const names = targets.map(([subpath]) => join(name, subpath))
      // In a process of its own, since this one resolves to the sources.
      const program = `console.log(JSON.stringify(${JSON.stringify(names)}.map((name) => import.meta.resolve(name))))`
      const resolved = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
        cwd: root,
      })
      const expected = targets.map(
        ([, { default: file = '' }]) => pathToFileURL(join(root, folder, file)).href,
      )
      expect(JSON.parse(String(resolved))).toEqual(expected)
    })

    it('publishes what it exports and runs, and no tests', () => {
      const { files = [], bin = {}, exports = {} } = manifest
      const needed = [
        ...Object.values(exports).flatMap((conditions) => Object.values(conditions)),
        ...Object.values(bin),
      ]
      const published = (file: string) => files.some((entry) => join(file).startsWith(`${entry}/`))
      expect(needed.filter((file) => !published(file))).toEqual([])
      expect(files).toContain('!src/**/*.test.ts')
    })

    it('has commands that npm can link before anything is built', () => {
      for (const file of Object.values(manifest.bin ?? {})) {
        expect(file).not.toMatch(/^(?:\.\/)?dist\//)
        expect(readFileSync(join(root, folder, file), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
      }
    })
  },
)

describe('the root', () => {
  it('is Apache-2.0, in full', () => {
    expect(rootManifest).toMatchObject({ private: true, license: 'Apache-2.0' })
    const license = readFileSync(join(root, 'LICENSE'), 'utf8')
    expect(license).toContain('Apache License\n                           Version 2.0, January 2004')
    expect(license).toContain('END OF TERMS AND CONDITIONS')
  })
})
