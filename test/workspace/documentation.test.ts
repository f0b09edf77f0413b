import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sources } from '../../scripts/sources.js'
import { root } from '../../scripts/step.js'

/** The links of a page: to where, without those of code and of other sites. */
function links(text: string): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|^\[[^\]]+\]:\s+(\S+)/gm)]
    .map(([, inline, reference]) => inline ?? reference ?? '')
    .filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
}

/** The anchors of a page's headings, as they are made of Markdown on the web. */
function anchors(text: string): Set<string> {
  const headings = text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)
  const slugs = Array.from(headings, ([, heading = '']) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return new Set(slugs)
}

describe('documentation', () => {
  const pages = [...sources()]
    .filter((file) => file.endsWith('.md'))
    .map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))

  it('links to files and headings that exist', () => {
    const broken: string[] = []
    for (const { file, text } of pages) {
      for (const target of links(text)) {
        const [path = '', anchor] = decodeURI(target).split('#')
        const linked = path === '' ? file : join(dirname(file), path)
        if (!existsSync(join(root, linked))) broken.push(`${file}: ${target}`)
        else if (anchor && linked.endsWith('.md')) {
          if (!anchors(readFileSync(join(root, linked), 'utf8')).has(anchor))
            broken.push(`${file}: ${target}`)
        }
      }
    }
    expect(broken).toEqual([])
  })

  it('has examples that compile: those that say what they import, and so are whole', () => {
    // Below the root, so that they find the packages.
    const folder = join(root, 'node_modules/.cache/seamark/documentation')
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    for (const { file, text } of pages) {
      for (const { index, 1: code = '' } of text.matchAll(/^```ts\n([\s\S]*?)^```/gm)) {
        if (!/^import /m.test(code)) continue
        // On the line where it stands in the page, so that errors point there.
        const line = text.slice(0, index).split('\n').length
        writeFileSync(join(folder, `${file.replaceAll('/', '.')}.${line}.ts`), '\n'.repeat(line) + code)
      }
    }
    const extended = { extends: join(root, 'tsconfig.base.json'), include: ['*.ts'] }
    const compilerOptions = {
      noEmit: true,
      composite: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ ...extended, compilerOptions }))
    const compiler = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = spawnSync(process.execPath, [compiler, '--project', folder], {
      cwd: folder,
      encoding: 'utf8',
    })
    expect(stdout).toBe('')
  })
})
