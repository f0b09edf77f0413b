import { SeamarkError } from '@seamark/core'
import { configurationFile, type Setting, type Settings } from './configuration-file.ts'
import { kebab, type OptionGroup, sections, type Values, variableName } from './options.ts'
import { suggestion } from './suggestion.ts'

/** Where the values of options come from. */
export interface Sources {
  /** What the command line says: all that a flag was given, in order; a switch `true` or `false`. */
  readonly flags: Readonly<Record<string, readonly string[] | boolean | undefined>>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where `seamark.yaml` is looked for. */
  readonly folder: string
}

/**
 * The values of a command's options: flags over environment variables over the configuration file over defaults.
 * Everything given is checked, also what this command does not ask for. Throws `configuration`, naming the place.
 */
export async function configuration<G extends OptionGroup>(group: G, sources: Sources): Promise<Values<G>> {
  const variables = environmentSettings(sources.environment)
  const file = await configurationFile(sources.folder, configFile(sources, variables))
  const values: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(group)) {
    const given = sources.flags[name]
    if (given !== undefined) {
      const texts = typeof given === 'boolean' ? [String(given)] : given
      values[name] = checked(`--${kebab(name)}`, () => option.type.flag(texts))
    } else values[name] = option.default
  }
  for (const [index, section] of sections.entries())
    for (const [name, option] of Object.entries<OptionGroup[string]>(section.options)) {
      const variable = variables[index]!.get(name)
      const line = file[index]!.get(name)
      // Both are checked even when a flag overrides them: what is wrong now is a surprise later.
      const below = line && checked(line.origin, () => option.type.yaml(line.value))
      const above = variable && checked(variable.origin, () => option.type.variable(variable.value as string))
      // The very same option: `register`'s port is another than the server's, which has the gateway's by a longer name.
      const own = Object.keys(group).find((key) => group[key] === option)
      if (own !== undefined && sources.flags[own] === undefined)
        values[own] = above ?? below ?? option.default
    }
  return values as Values<G>
}

function checked<T>(origin: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new SeamarkError('configuration', `${origin} ${(error as Error).message}.`, { cause: error })
  }
}

function configFile({ flags }: Sources, variables: Settings): string | undefined {
  const { config } = flags
  if (Array.isArray(config)) return config.at(-1)
  return sections
    .flatMap((_, index) => variables[index]!.get('config')?.value as string | undefined)
    .find(Boolean)
}

/** Read by `@seamark/client`, inside services and here. */
const libraryVariables = new Set(['SEAMARK_ADVERTISE_ADDRESS'])

/** Kubernetes gives each pod such variables for each Service, also for one that is called `seamark`: they are not ours. */
const serviceLink =
  /^SEAMARK_((.+_)?SERVICE_(HOST|PORT)(_.+)?|(.+_)?PORT_\d+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)$/
const serviceLinkValue = /^(tcp|udp|sctp):\/\//

function environmentSettings(environment: Sources['environment']): Settings {
  const known = new Map(
    sections.flatMap(({ prefix, options }, index) =>
      Object.keys(options).map((name) => [variableName(prefix, name), { index, name }] as const),
    ),
  )
  const settings = sections.map(() => new Map<string, Setting>())
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('SEAMARK_') || value === undefined) continue
    if (libraryVariables.has(variable) || serviceLink.test(variable) || serviceLinkValue.test(value)) continue
    const option = known.get(variable)
    if (option === undefined)
      throw new SeamarkError(
        'configuration',
        `The environment variable ${variable} is none of Seamark's.${suggestion(variable, [...known.keys(), ...libraryVariables])}`,
      )
    // An empty variable says nothing, as `FOO=${BAR:-}` does in many a compose file.
    if (value !== '') settings[option.index]!.set(option.name, { value, origin: variable })
  }
  return settings
}
