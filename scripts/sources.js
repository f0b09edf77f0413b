import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './step.js'

const notOurs = new Set(['.cache', '.git', 'coverage', 'dist', 'node_modules', 'package-lock.json'])

/**
 * Every file that people wrote, by its path from the workspace's folder.
 * @param {string} [folder] only those below it; default everything
 * @returns {Generator<string>}
 */
export function* sources(folder = '') {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (notOurs.has(entry.name) || path === 'data') continue
    if (entry.isDirectory()) yield* sources(path)
    else if (entry.isFile()) yield path
  }
}
