import { type Dependencies, type Mocks, type Package, type Urls, Vasco } from './vasco.ts'

export type { Dependencies, Mocks, Package, Urls } from './vasco.ts'

/** Called once, never before the function that got it has returned. `urls` has the URL of each dependency by its name. */
export type Callback = (error: Error | null, urls?: Urls) => void

const shared = new Vasco()

/**
 * Finds the dependencies that `pkg` declares, then registers `url` (usually `ip:port`) as an endpoint of `pkg` and keeps
 * it registered until the process ends; as long keeps the process alive. Calls back with, or without a callback resolves
 * to, the URLs of the dependencies. Fails with `Need url of service`, `Invalid package` or `No url for: NAME`, and then
 * registers nothing; with `engine_unavailable` when Redis does not answer.
 */
export function register(url: string, pkg: Package): Promise<Urls>
export function register(url: string, pkg: Package, callback: Callback): void
export function register(url: string, pkg: Package, callback?: Callback): Promise<Urls> | undefined {
  return answer(shared.register(url, pkg), callback)
}

/**
 * A living endpoint of each dependency, or its mock. Registers nothing. Calls back with, or without a callback resolves
 * to, their URLs. Fails with `No url for: NAME` when one has none; with `engine_unavailable` when Redis does not answer.
 */
export function findDependencies(dependencies: Dependencies, mocks?: Mocks): Promise<Urls>
export function findDependencies(dependencies: Dependencies, mocks: Mocks, callback: Callback): void
export function findDependencies(
  dependencies: Dependencies,
  mocks?: Mocks,
  callback?: Callback,
): Promise<Urls> | undefined {
  return answer(shared.findDependencies(dependencies, mocks), callback)
}

function answer(urls: Promise<Urls>, callback: Callback | undefined): Promise<Urls> | undefined {
  if (callback === undefined) return urls
  // On a tick of its own: what a callback throws is its caller's uncaught exception, not a rejection of ours.
  urls.then(
    (urls) => process.nextTick(callback, null, urls),
    (error) => process.nextTick(callback, error),
  )
  return undefined
}

const vasco = { register, findDependencies }

export default vasco
// What `require` answers: a plain object, as the original's, on which tests may replace a function.
export { vasco as 'module.exports' }
