import { type Notify, SeamarkError } from '@seamark/core'
import type { Access, Identity, Inquiry, Routes, Rule } from '../ports.ts'
import type { AccessSetting } from './access-setting.ts'
import { unauthenticated } from './challenge.ts'
import { credential } from './credential.ts'
import type { Fetch } from './key-source.ts'
import type { KeyringHost } from './keyring.ts'
import { TokenVerifier } from './token-verifier.ts'

export interface AccessHost extends Omit<KeyringHost, 'fetch'> {
  /** Hears of `access_missing` beside what is told of keys. */
  readonly notify: Notify
  /** The rules, of which it is told when nobody can pass them. */
  readonly routes: Pick<Routes, 'table'>
  /** How keys are fetched. Default the global one. */
  readonly fetch?: Fetch
}

/** Access whose setting can be replaced. */
export interface ReloadableAccess extends Access, AsyncDisposable {
  /**
   * Whenever rules or the setting may have changed; holds from the next request on. An equal setting changes nothing. Throws
   * `configuration`, and then everything stays as it was.
   */
  reload(setting: AccessSetting | undefined): void
}

/**
 * Verifies who asks. Without a setting, rules that name roles let nobody in, and that is told: closed by default. Throws
 * `configuration` when keys that should be there are not; a URL that does not answer is told, and tried again.
 */
export function access(setting: AccessSetting | undefined, host: AccessHost): ReloadableAccess {
  return new TokenAccess(setting, host)
}

class TokenAccess implements ReloadableAccess {
  readonly #host: AccessHost
  /** Rules of which it was told that they let nobody in. */
  readonly #told = new Set<string>()
  readonly #closing = new Set<Promise<void>>()
  #setting: AccessSetting | undefined
  #verifier: TokenVerifier | undefined

  constructor(setting: AccessSetting | undefined, host: AccessHost) {
    this.#host = host
    this.reload(setting)
  }

  admit(rule: Rule, inquiry: Inquiry): Identity | undefined | Promise<Identity | undefined> {
    const { roles } = rule.route
    if (this.#verifier === undefined) {
      if (roles === undefined) return undefined
      throw new SeamarkError('not_allowed', 'The route asks for a role, and the gateway knows no access yet.')
    }
    const token = credential(inquiry, this.#setting?.cookie)
    if (token === undefined) {
      if (roles === undefined) return undefined
      throw unauthenticated('missing', 'The route asks for a token: send it as "authorization: Bearer …".')
    }
    const identity = this.#verifier.verify(token)
    if (identity instanceof Promise)
      return roles === undefined
        ? // It may be meant for the service itself, and a page that anybody may see stays one.
          identity.catch(() => undefined)
        : identity.then((known) => permitted(known, roles))
    return roles === undefined ? identity : permitted(identity, roles)
  }

  reload(setting: AccessSetting | undefined): void {
    try {
      if (JSON.stringify(setting) !== JSON.stringify(this.#setting)) this.#replace(setting)
    } finally {
      this.#review()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#retire()
    await Promise.all(this.#closing)
  }

  #replace(setting: AccessSetting | undefined): void {
    const { fetch: custom, clock, notify } = this.#host
    const next = setting && new TokenVerifier(setting, { clock, notify, fetch: custom ?? fetch })
    this.#retire()
    this.#setting = setting
    this.#verifier = next
  }

  #retire(): void {
    const closing = this.#verifier?.[Symbol.asyncDispose]().finally(() => this.#closing.delete(closing!))
    if (closing !== undefined) this.#closing.add(closing)
  }

  /** Tells of rules that nobody can pass. */
  #review(): void {
    const closed =
      this.#verifier !== undefined ? [] : this.#host.routes.table.rules.filter(({ route }) => route.roles)
    const names = new Set(closed.map(({ name }) => name))
    for (const name of this.#told) if (!names.has(name)) this.#told.delete(name)
    for (const name of names) {
      if (this.#told.has(name)) continue
      this.#told.add(name)
      this.#host.notify({
        level: 'warn',
        event: 'access_missing',
        message: `${name} asks for roles, but the gateway has no "access" to verify tokens with: it lets nobody in.`,
        details: { rule: name },
      })
    }
  }
}

function permitted(identity: Identity, roles: readonly string[]): Identity {
  if (!roles.some((role) => identity.roles.includes(role)))
    throw new SeamarkError('forbidden', 'The token has none of the roles that the route asks for.')
  return identity
}
