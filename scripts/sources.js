import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './step.js'

const notOurs = new Set(['.cache', '.git', '.tools', 'coverage', 'dist', 'node_modules', 'package-lock.json'])
const written = new Set(['data', 'benchmarks/results'])

/**
 * Every file that people wrote, by its path from the workspace's folder.
 * @param {string} [folder] only those below it; default everything
 * @returns {Generator<string>}
 */
export function* sources(folder = '') {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (notOurs.has(entry.name) || written.has(path)) continue
    if (entry.isDirectory()) yield* sources(path)
    else if (entry.isFile()) yield path
  }
}
