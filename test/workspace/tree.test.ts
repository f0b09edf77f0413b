import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
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
      ({ text }) => text.includes(host) || /\bregistry\.(?:npmjs|yarnpkg)\b/.test(text),
    )
    expect(naming.map(({ file }) => file)).toEqual([])
  })

  it('names no folder of the machine it was written on', () => {
    const folders = [/(?<![\w.])\/(?:home|Users)\/\w/, /(?<![\w.])\/(?:root|work|workspace)\//]
    const naming = texts.filter(({ text }) => folders.some((folder) => folder.test(text)))
    expect(naming.map(({ file }) => file)).toEqual([])
  })
})

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
  const pages = texts.filter(({ file }) => file.endsWith('.md'))

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
})
