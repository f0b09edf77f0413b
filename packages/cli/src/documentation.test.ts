import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { errorCodes } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { exitCodes, exitOf } from './exit-codes.ts'
import {
  client,
  everywhere,
  gateway,
  gatewayAlone,
  gatewayEnabled,
  gatewayInside,
  kebab,
  type Option,
  type OptionGroup,
  register,
  server,
  variableName,
} from './options.ts'
import { commands, defaultText } from './program.ts'

function page(name: string): string {
  return readFileSync(new URL(`../../../docs/reference/${name}.md`, import.meta.url), 'utf8')
}

/** What sets it, whichever command; the gateway's options have longer names with a server. */
function flagsOf(name: string, option: Option): string[] {
  const longer = Object.entries<Option>(gatewayInside).find(([, one]) => one === option)?.[0]
  if (option === gatewayEnabled.enabled) return [kebab(longer!)]
  return [name, option.alias, longer].filter((flag) => flag !== undefined).map(kebab)
}

/** A row of a Markdown table for each option of a group. */
function rows(prefix: string, group: OptionGroup): string {
  return Object.entries<Option>(group)
    .map(([name, option]) => {
      const flags = flagsOf(name, option).map((flag) => `\`--${flag}\``)
      const text = option.type.placeholder === undefined ? 'false' : defaultText(option)
      return [
        flags.join(', '),
        `\`${variableName(prefix, name)}\``,
        name === 'config' ? '–' : `\`${kebab(name)}\``,
        option.type.name,
        text === undefined ? '–' : `\`${text}\``,
        option.help,
      ].join(' | ')
    })
    .map((row) => `| ${row} |`)
    .join('\n')
}

describe('docs/reference/configuration.md', () => {
  it.each([
    ['every command', 'SEAMARK_', everywhere],
    ['commands that ask a server', 'SEAMARK_', client],
    ['seamark server', 'SEAMARK_', server],
    ['seamark register', 'SEAMARK_REGISTER_', register],
    ['seamark gateway', 'SEAMARK_GATEWAY_', { ...gatewayAlone, ...gateway, ...gatewayEnabled }],
  ])('has the options of %s as they are', (_, prefix, group) => {
    expect(page('configuration')).toContain(`\n${rows(prefix, group)}\n\n`)
  })
})

describe('docs/reference/cli.md', () => {
  it.each(commands.map(({ name }) => name))('has the help of seamark %s as it is printed', (name) => {
    const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))
    const help = execFileSync(process.execPath, [main, ...name.split(' '), '--help'], { encoding: 'utf8' })
    expect(page('cli')).toContain(`\n## seamark ${name}\n`)
    expect(page('cli')).toContain(`\n\`\`\`text\n${help}\`\`\`\n`)
  })

  it('has the exit codes as they are, with the errors that lead to them', () => {
    const table = Object.entries(exitCodes).map(([exit, { code, meaning }]) => {
      const errors = Object.keys(errorCodes).filter((error) => exitOf[error as keyof typeof exitOf] === exit)
      return `| ${code} | ${meaning} | ${errors.map((error) => `\`${error}\``).join(', ')} |`
    })
    expect(page('cli')).toContain(`\n${table.join('\n')}\n\n`)
  })
})
