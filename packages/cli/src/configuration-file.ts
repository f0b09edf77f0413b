import { readFileSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { SeamarkError } from '@seamark/core'
import type { Pair, YAMLMap } from 'yaml'
import { kebab, type OptionGroup, sections } from './options.ts'
import { suggestion } from './suggestion.ts'

/** Read when none is named, and it is there. */
const defaultFile = 'seamark.yaml'

/** What one place says of an option, and how that place is called: `seamark.yaml:3`, `SEAMARK_PORT`, `--port`. */
export interface Setting {
  readonly value: unknown
  readonly origin: string
}

/** The settings of each section by their option's name, as `sections` has them. */
export type Settings = readonly ReadonlyMap<string, Setting>[]

/**
 * Reads and checks a configuration file, all of it, whatever command asks. `named` is a file that must exist; without it,
 * the folder's `seamark.yaml` is read if there is one. Throws `configuration`, naming file and line.
 */
export async function configurationFile(folder: string, named: string | undefined): Promise<Settings> {
  const name = named ?? defaultFile
  const source = read(resolve(folder, name), named)
  if (source === undefined) return sections.map(() => new Map())
  // Most runs have no file: they need not wait for the parser to load.
  const { isMap, isNode, isScalar, LineCounter, parseDocument } = await import('yaml')
  const lines = new LineCounter()
  // A file that was named is called as it was named; a default one by its name.
  const place = (offset: number) => `${named ?? basename(name)}:${lines.linePos(offset).line}`
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false })
  const [broken] = document.errors
  if (broken !== undefined)
    throw new SeamarkError('configuration', `${place(broken.pos[0])}: not YAML: ${broken.message}`)
  const settings = sections.map(() => new Map<string, Setting>())
  const root = document.contents
  if (root === null || (isScalar(root) && root.value === null)) return settings
  if (!isMap(root))
    throw new SeamarkError('configuration', `${place(0)}: must hold "key: value" lines, such as "port: 8500"`)
  const nested = new Map<string, number>(
    sections.flatMap(({ key }, index) => (key === undefined ? [] : [[key, index]])),
  )
  const top = sections.findIndex(({ key }) => key === undefined)
  collect(root, top, '')
  return settings

  function collect(map: YAMLMap, section: number, path: string) {
    const group: OptionGroup = sections[section]!.options
    const names = new Map(Object.keys(group).map((name) => [kebab(name), name]))
    if (path === '') names.delete('config')
    for (const pair of map.items as Pair[]) {
      const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
      const origin = place((isNode(pair.key) && pair.key.range?.[0]) || 0)
      const below = path === '' ? nested.get(key) : undefined
      if (below !== undefined) {
        if (isMap(pair.value)) collect(pair.value, below, `${key}: `)
        else if (!isScalar(pair.value) || pair.value.value !== null)
          throw new SeamarkError('configuration', `${origin}: ${key} must be a map of its options`)
        continue
      }
      const option = names.get(key)
      if (option === undefined)
        throw new SeamarkError(
          'configuration',
          `${origin}: ${path}there is no option "${key}".${suggestion(key, [...names.keys(), ...(path === '' ? nested.keys() : [])])}`,
        )
      const value = isNode(pair.value) ? pair.value.toJS(document) : null
      // A key with nothing after it says nothing.
      if (value !== null) settings[section]!.set(option, { value, origin: `${origin}: ${path}${key}` })
    }
  }
}

function read(path: string, named: string | undefined): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (named === undefined && code === 'ENOENT') return undefined
    const why = code === 'ENOENT' ? 'there is no such file' : (error as Error).message
    throw new SeamarkError('configuration', `The configuration file ${path} cannot be read: ${why}.`, {
      cause: error,
    })
  }
}
