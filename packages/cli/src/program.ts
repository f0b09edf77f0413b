import { Command as Commander, CommanderError, Option as Flag } from 'commander'
import type { Command } from './command.ts'
import { deregister } from './commands/deregister.ts'
import { find } from './commands/find.ts'
import { gateway } from './commands/gateway.ts'
import { gatewayExplain } from './commands/gateway-explain.ts'
import { gatewayRoutes } from './commands/gateway-routes.ts'
import { instances } from './commands/instances.ts'
import { maintenance } from './commands/maintenance.ts'
import { register } from './commands/register.ts'
import { server } from './commands/server.ts'
import { services } from './commands/services.ts'
import { watch } from './commands/watch.ts'
import { configuration } from './configuration.ts'
import { exitCodes } from './exit-codes.ts'
import { complaint, exitCode, Failure } from './failure.ts'
import { client, everywhere, kebab, type Option, type OptionGroup } from './options.ts'
import { output } from './output.ts'
import { packageVersion } from './package-version.ts'
import { suggestion } from './suggestion.ts'

/** All commands, in the order of the help. */
export const commands: readonly Command<typeof everywhere>[] = [
  server,
  register,
  deregister,
  services,
  instances,
  find,
  watch,
  maintenance,
  gateway,
  gatewayRoutes,
  gatewayExplain,
]

type Flags = Readonly<Record<string, readonly string[] | boolean | undefined>>

/** What surrounds a run of the program. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly folder: string
}

/** What the command line said. */
interface Call {
  readonly command: Command<typeof everywhere>
  readonly flags: Flags
  readonly operands: readonly string[]
}

/**
 * Runs a command line, given without the program's name. Prints what comes of it, errors too, and answers the exit code.
 */
export async function run(words: readonly string[], { environment, folder }: Surroundings): Promise<number> {
  const end = words.indexOf('--')
  const rest = end < 0 ? undefined : words.slice(end + 1)
  // Until the configuration is read, the command line itself says how errors are to be printed.
  const said = end < 0 ? words : words.slice(0, end)
  let manner = { json: said.includes('--json'), verbose: said.includes('--verbose') }
  try {
    const call = await parse(words)
    if (typeof call === 'number') return call
    const { command, flags, operands } = call
    const settings = await configuration(command.options, { flags, environment, folder })
    manner = { json: settings.json, verbose: settings.verbose }
    return (
      (await command.run({
        settings,
        ...operandsOf(command, operands, rest),
        output: output({ json: settings.json, environment }),
      })) ?? exitCodes.ok.code
    )
  } catch (error) {
    process.stderr.write(`${complaint(error, manner)}\n`)
    return exitCode(error)
  }
}

/** Answers what was called; or an exit code, once help or the version was printed instead. Throws `Failure` for misuse. */
async function parse(words: readonly string[]): Promise<Call | number> {
  let call: Call | undefined
  const program = new Commander('seamark')
    .description('Service discovery: registers services, finds them, and watches them.')
    .version(packageVersion, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ subcommandTerm: term })
    .addHelpText('after', footer)
  for (const flag of flagsOf({ ...client, ...everywhere })) program.addOption(flag.hideHelp())
  const subs = new Map<string, Commander>()
  for (const command of commands) {
    const words = command.name.split(' ')
    const parent = subs.get(words.slice(0, -1).join(' ')) ?? program
    const sub = parent.command(words.at(-1)!).summary(command.summary).description(about(command))
    subs.set(command.name, sub)
    const further = commands
      .filter(({ name }) => name.startsWith(`${command.name} `))
      .map(({ name }) => name.slice(command.name.length + 1))
    if (further.length > 0)
      sub.helpCommand('help [command]', 'print the help of a command').allowExcessArguments()
    for (const { syntax, help } of command.arguments) sub.argument(syntax, help)
    if (command.rest !== undefined) {
      sub.argument(`[${command.rest.syntax}]`, command.rest.help)
      sub.usage(
        `[options] ${command.arguments.map(({ syntax }) => syntax).join(' ')} [-- ${command.rest.syntax}]`,
      )
    }
    for (const flag of flagsOf(command.options)) sub.addOption(flag)
    sub.addHelpText('after', `\nExamples:\n${examples(command)}`)
    sub.action(() => {
      const flags: Flags = { ...program.opts(), ...(parent !== program && parent.opts()), ...sub.opts() }
      if (further.length > 0 && sub.args.length > 0) {
        const near = suggestion(sub.args[0]!, further) || ` There are: ${further.join(', ')}.`
        throw new Failure('usage', `seamark ${command.name} has no command "${sub.args[0]}".${near}`)
      }
      for (const name of Object.keys(flags))
        if (!Object.hasOwn(command.options, name))
          throw new Failure('usage', `seamark ${command.name} takes no --${kebab(name)}.`)
      call = { command, flags, operands: sub.args }
    })
  }
  try {
    await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return exitCodes.ok.code
    // The help was printed, as nothing was asked for.
    if (error.code === 'commander.help') return exitCodes.usage.code
    throw misuse(error, words)
  }
  return call ?? exitCodes.ok.code
}

const footer = `
Options may also be set by variables, such as SEAMARK_URL, or in the current
folder's seamark.yaml. The command line wins over variables, and those over the file.

Examples:
  seamark server                      start a server, with its data in ./data
  seamark register api --port 3000    register an instance of the service "api"
  seamark find api                    print the address of one
  seamark find --help                 all about a command`

/** A command as the list of commands has it. */
function term(sub: Commander): string {
  const command = commands.find(({ name }) => name === fullName(sub))
  if (command === undefined) return `${sub.name()} [command]`
  return [sub.name(), ...command.arguments.map(({ syntax }) => syntax)].join(' ')
}

/** `gateway routes` for the command `routes` of `gateway`. */
function fullName(sub: Commander): string {
  const { parent } = sub
  return parent === null || parent.parent === null ? sub.name() : `${fullName(parent)} ${sub.name()}`
}

function about({ summary, description }: { summary: string; description?: string }): string {
  const sentence = `${summary[0]!.toUpperCase()}${summary.slice(1)}.`
  return description === undefined ? sentence : `${sentence}\n${description}`
}

function examples(command: { examples: Command<OptionGroup>['examples'] }): string {
  return command.examples.map(({ line, does }) => `  # ${does}\n  ${line}`).join('\n')
}

function flagsOf(group: OptionGroup): Flag[] {
  return Object.entries(group).flatMap(([name, option]) => {
    const { placeholder } = option.type
    const value = placeholder === undefined ? '' : ` <${placeholder}>`
    const alias = option.alias === undefined ? '' : `--${option.alias}, `
    const flag = new Flag(`${alias}--${kebab(name)}${value}`, explain(option))
    if (Object.values<Option>({ ...client, ...everywhere }).includes(option))
      flag.helpGroup('Shared options:')
    // A switch that a variable or the file turns on can be turned off again.
    if (placeholder === undefined) return [flag, new Flag(`--no-${kebab(name)}`).hideHelp()]
    return [flag.argParser((text: string, before?: readonly string[]) => [...(before ?? []), text])]
  })
}

function explain(option: Option): string {
  const notes: string[] = []
  if (option.type.repeatable) notes.push('may be repeated')
  const given = defaultText(option)
  if (given !== undefined) notes.push(`default: ${given}`)
  return notes.length === 0 ? option.help : `${option.help} (${notes.join(', ')})`
}

/** A default as it is written in help and in the reference; `undefined` where it needs no mention. */
export function defaultText({ type, default: value }: Option): string | undefined {
  if (value === undefined || typeof value === 'object' || typeof value === 'boolean') return undefined
  return type.format?.(value) ?? String(value)
}

function misuse(error: CommanderError, words: readonly string[]): Failure {
  const help = ['seamark', ...calledWords(words), '--help'].join(' ')
  const message = error.message.replace(/^error: /, '').replace('\n', ' ')
  return new Failure('usage', `${message}\n  How it goes: ${help}`, { cause: error })
}

/** The words that name the command, as far as they name one. */
function calledWords(words: readonly string[]): readonly string[] {
  const isName = (text: string) => commands.some(({ name }) => name === text)
  const at = words.findIndex(isName)
  if (at < 0) return []
  const two = words.slice(at, at + 2)
  return isName(two.join(' ')) ? two : two.slice(0, 1)
}

/** Divides what is no option into the command's arguments and what stood after `--`. */
function operandsOf(
  { name, arguments: declared, rest: takesRest }: Command<typeof everywhere>,
  operands: readonly string[],
  rest: readonly string[] | undefined,
): { arguments: readonly string[]; rest: readonly string[] | undefined } {
  if (takesRest === undefined) return { arguments: operands, rest: undefined }
  const given = operands.slice(0, operands.length - (rest?.length ?? 0))
  const required = declared.map(({ syntax }) => syntax).join(' ')
  if (given.length < declared.length)
    throw new Failure('usage', `${required} is missing before "--".\n  How it goes: seamark ${name} --help`)
  if (given.length > declared.length)
    throw new Failure(
      'usage',
      `"${given.slice(declared.length).join(' ')}" is too much. A command to run comes after "--":\n` +
        `  seamark ${name} ${given[0]} --port 3000 -- node app.js`,
    )
  return { arguments: given, rest }
}
