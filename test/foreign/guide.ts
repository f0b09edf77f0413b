import { readFileSync } from 'node:fs'

const page = readFileSync(new URL('../../docs/guide/consul-tools.md', import.meta.url), 'utf8')

/**
 * The configurations in that language that the guide shows under a heading, the way users copy them, but for what tests need to change. Throws if the guide has
 * no longer what is to be changed.
 */
export function guide(heading: string, language: string, changes: Readonly<Record<string, string>>): string {
  const [, section = ''] = page.split(new RegExp(`^#+ ${heading}$`, 'm'))
  const [own = ''] = section.split(/^#/m)
  const [, block] = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'ms').exec(own) ?? []
  if (block === undefined) throw new Error(`The guide has no ${language} under ${heading}.`)
  return Object.entries(changes).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`What the guide shows under ${heading} has no ${from}.`)
    return text.replaceAll(from, to)
  }, block)
}
