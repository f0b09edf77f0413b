import {
  type Announcement,
  type Duration,
  displayName,
  type Instance,
  invalidField,
  isSeamarkError,
  milliseconds,
  SeamarkError,
} from '@seamark/core'
import type { AnnounceOptions, Discovery } from './discovery.ts'
import { MockedDependency, type PackageDependency, RegisteredDependency } from './package-dependency.ts'
import { type PackageFile, packageFile } from './package-file.ts'

/** As for `announce`; what is given here goes before what the file says. */
export interface AnnouncePackageOptions extends Omit<AnnounceOptions, 'name'> {
  /** The package.json: a path, or `new URL('./package.json', import.meta.url)`. */
  readonly file: string | URL
  /** The service. Default: the package's name, without a scope. */
  readonly name?: string
  /** How long all dependencies together are waited for, in ms or as `"30s"`. Default: what is not there now is missing. */
  readonly timeout?: Duration
}

/** An announced package, and what it depends on. */
export interface PackageAnnouncement extends Announcement {
  /** One that package.json declares, or mocks. Throws `invalid_field` for others. */
  dependency(name: string): PackageDependency
}

/**
 * Announces what a package.json describes, once all that it depends on is found: its `name` and `version`, and
 *
 *     "seamark": { "dependencies": { "api": "^2.0.0" }, "mocks": { "auth": "localhost:3000" }, "ttl": "10s" }
 *
 * A mock is answered instead of what the registry knows, with a notice (`dependency_mocked`). Throws, and then has announced
 * nothing: `configuration` for a file that is malformed; `dependencies_missing`, with all of them; and as `announce`.
 */
export async function announcePackage(
  discovery: Discovery,
  options: AnnouncePackageOptions,
): Promise<PackageAnnouncement> {
  const { file: location, timeout, ...given } = options
  const file = await packageFile({ file: location, namespace: discovery.namespace })
  const name = given.name ?? file.name
  if (name === undefined)
    throw new SeamarkError('configuration', `${file.path}: name is missing`, { field: 'name' })
  const limit = timeout === undefined ? undefined : milliseconds('timeout', timeout)
  const dependencies = declared(file, discovery)
  for (const dependency of dependencies.values()) if (dependency.isMock) warn(dependency, file, discovery)
  await resolved(dependencies, file, limit)
  const announcement = await discovery.announce({
    ...(file.version !== undefined && { version: file.version }),
    ...(file.ttl !== undefined && { ttl: file.ttl }),
    ...given,
    name,
  })
  return new AnnouncedPackage(announcement, dependencies)
}

type Dependencies = ReadonlyMap<string, RegisteredDependency | MockedDependency>

function declared({ dependencies, mocks }: PackageFile, discovery: Discovery): Dependencies {
  const all = new Map<string, RegisteredDependency | MockedDependency>()
  for (const [name, version] of dependencies)
    if (!mocks.has(name)) all.set(name, new RegisteredDependency(name, version, discovery.service(name)))
  for (const [name, endpoint] of mocks)
    all.set(name, new MockedDependency(name, dependencies.get(name), endpoint))
  return all
}

function warn(mocked: PackageDependency, { path }: PackageFile, { notify }: Discovery): void {
  const { origin } = mocked.pick()!
  notify({
    level: 'warn',
    event: 'dependency_mocked',
    message: `${path} has a mock of ${mocked.name}: the registry is not asked for it, and its requests go to ${origin}.`,
    details: { name: mocked.name, origin },
  })
}

/** All of them, at the same time. */
async function resolved(
  dependencies: Dependencies,
  { path }: PackageFile,
  limit: number | undefined,
): Promise<void> {
  const tries = [...dependencies.values()].map(async (dependency): Promise<Missing | undefined> => {
    try {
      if (limit === undefined || dependency.isMock) await dependency.find()
      else await dependency.waitFor(limit)
      return undefined
    } catch (error) {
      if (!isSeamarkError(error) || error.code === 'closed') throw error
      return { dependency, error }
    }
  })
  const missing = (await Promise.all(tries)).filter((one) => one !== undefined)
  if (missing.length > 0) throw missed(missing, path)
}

interface Missing {
  readonly dependency: PackageDependency
  readonly error: SeamarkError
}

function missed(missing: readonly Missing[], path: string): SeamarkError {
  const lines = missing.map(
    ({ dependency: { name, version }, error }) => `\n- ${name} ${version ?? '*'}: ${error.message}`,
  )
  const details = missing.map(({ dependency: { name, version }, error: { code, message } }) => ({
    name,
    version: version ?? '*',
    code,
    message,
  }))
  return new SeamarkError(
    'dependencies_missing',
    `Not all that ${path} depends on was found:${lines.join('')}`,
    {
      details: { missing: details },
      cause: missing.length === 1 ? missing[0]!.error : new AggregateError(missing.map(({ error }) => error)),
    },
  )
}

class AnnouncedPackage implements PackageAnnouncement {
  readonly #announcement: Announcement
  readonly #dependencies: ReadonlyMap<string, PackageDependency>

  constructor(announcement: Announcement, dependencies: ReadonlyMap<string, PackageDependency>) {
    this.#announcement = announcement
    this.#dependencies = dependencies
  }

  get instance(): Instance {
    return this.#announcement.instance
  }

  get registered(): boolean {
    return this.#announcement.registered
  }

  dependency(name: string): PackageDependency {
    const found = this.#dependencies.get(name)
    if (found === undefined) {
      const known = [...this.#dependencies.keys()].join(', ') || 'none'
      throw invalidField(
        'name',
        `must be a dependency of ${displayName(this.instance)}: ${known}; "${name}" is not declared`,
      )
    }
    return found
  }

  ready(signal?: AbortSignal): Promise<void> {
    return this.#announcement.ready(signal)
  }

  close(): Promise<void> {
    return this.#announcement.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
