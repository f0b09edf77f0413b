import { readFileSync } from 'node:fs'

const page = readFileSync(new URL('../../docs/guide/consul-tools.md', import.meta.url), 'utf8')

/**
 * The configuration in that language that the guide shows under a heading, but for what tests have to change, such as
 * ports. Throws if it has nothing of the kind.
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
