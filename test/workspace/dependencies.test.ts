import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sources } from '../../scripts/sources.js'
import { root } from '../../scripts/step.js'
import { rootManifest, type Workspace, workspaces } from './workspaces.ts'

// At the start of a line, so that examples in comments do not count; dynamic ones stand anywhere.
const specifiers = /^(?:import|export)\b[^'"]*?\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm

/** The packages that these files import, by name. */
function imported(files: readonly string[]): Set<string> {
  const names = new Set<string>()
  for (const file of files) {
    for (const [, ...groups] of readFileSync(join(root, file), 'utf8').matchAll(specifiers)) {
      const specifier = groups.find((group) => group !== undefined) ?? ''
      if (specifier.startsWith('.') || isBuiltin(specifier)) continue
      const [first = '', second] = specifier.split('/')
      names.add(first.startsWith('@') ? `${first}/${second}` : first)
    }
  }
  return names
}

function filesOf(workspace: Workspace): { source: string[]; tests: string[] } {
  const files = [...sources(workspace.folder)].filter((file) => /\.[jt]s$/.test(file))
  return {
    source: files.filter((file) => !file.endsWith('.test.ts')),
    tests: files.filter((file) => file.endsWith('.test.ts')),
  }
}

describe.each(workspaces.map((workspace) => ({ name: workspace.manifest.name, workspace })))(
  '$name',
  ({ workspace }) => {
    const { folder, manifest } = workspace
    const files = filesOf(workspace)
    const needed = imported(files.source)
    needed.delete(manifest.name)
    const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }))

    it('declares the packages that its sources import, and no others', () => {
      expect([...declared].sort()).toEqual([...needed].sort())
    })

    it('declares the packages that only its tests import', () => {
      const shared = Object.keys(rootManifest.devDependencies ?? {})
      const known = [...declared, ...Object.keys(manifest.devDependencies ?? {}), ...shared, manifest.name]
      const missing = [...imported(files.tests)].filter((name) => !known.includes(name))
      expect(missing).toEqual([])
    })

    it('builds after exactly the workspaces it depends on', () => {
      const { references } = JSON.parse(readFileSync(join(root, folder, 'tsconfig.json'), 'utf8'))
      const built = references.map(({ path }: { path: string }) => join(folder, path))
      const depended = workspaces
        .filter(({ manifest }) => needed.has(manifest.name))
        .map(({ folder }) => folder)
      expect(built.sort()).toEqual(depended.sort())
    })
  },
)

describe('the root', () => {
  it.each(['tsconfig.json', 'tsconfig.tests.json'])('builds every workspace in %s', (file) => {
    const { references } = JSON.parse(readFileSync(join(root, file), 'utf8'))
    const built = references
      .map(({ path }: { path: string }) => path)
      .filter((path: string) => !path.endsWith('.json'))
    expect(built.sort()).toEqual(workspaces.map(({ folder }) => folder).sort())
  })

  it('has the binaries of every platform in its lock file, so that npm ci works on each', () => {
    const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
    const optional = Object.values<{ optionalDependencies?: Record<string, string> }>(packages).flatMap(
      ({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}),
    )
    const missing = optional.filter((name) => packages[`node_modules/${name}`] === undefined)
    expect(missing).toEqual([])
  })

  it('has an up-to-date lock file', () => {
    const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
    for (const { folder, manifest } of workspaces) {
      const { dependencies, devDependencies, peerDependencies } = manifest
      expect(packages[folder], folder).toMatchObject({
        ...(dependencies && { dependencies }),
        ...(devDependencies && { devDependencies }),
        ...(peerDependencies && { peerDependencies }),
      })
    }
  })
})
