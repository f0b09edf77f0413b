import { ConsulError } from '../answer.ts'
import type { Ask } from '../ask.ts'
import { anything, boolean, decoded, integer, list, object, text, texts } from '../body.ts'
import { goDuration } from '../go-duration.ts'

/** What a prepared query asks for. */
export interface ServiceQuery {
  readonly Service: string
  readonly Failover: { readonly NearestN: number; readonly Datacenters: readonly string[] | null }
  readonly OnlyPassing: boolean
  readonly IgnoreCheckIDs: readonly string[] | null
  readonly Near: string
  /** Those that begin with `!` must not be there. */
  readonly Tags: readonly string[] | null
  readonly NodeMeta: Readonly<Record<string, string>> | null
  readonly ServiceMeta: Readonly<Record<string, string>> | null
  readonly Connect: boolean
}

/** A prepared query as Consul prints it, but for its indexes, which are the item's. */
export interface Definition {
  readonly ID: string
  readonly Name: string
  readonly Session: string
  readonly Token: string
  readonly Template: { readonly Type: string; readonly Regexp: string; readonly RemoveEmptyTags: boolean }
  readonly Service: ServiceQuery
  readonly DNS: { readonly TTL: string }
}

/** What Consul shows in place of a token that the reader may not see. */
const redacted = '<hidden>'

/** Pairs; Consul's (`agent/structs`, `metaMaxKeyPairs`), as the lengths. */
const metadata = { pairs: 64, keyLength: 128, valueLength: 512 }

const shape = object<{
  ID: string
  Name: string
  Session: string
  Token: string
  Template: { Type?: string; Regexp?: string; RemoveEmptyTags?: boolean }
  Service: {
    Service?: string
    Failover?: { NearestN?: number; Datacenters?: string[] }
    OnlyPassing?: boolean
    IgnoreCheckIDs?: string[]
    Near?: string
    Tags?: string[]
    NodeMeta?: Record<string, string>
    ServiceMeta?: Record<string, string>
    Connect?: boolean
  }
  DNS: { TTL?: string }
  CreateIndex: unknown
  ModifyIndex: unknown
  // What later versions of Consul's clients may say, and this one looks over.
  Namespace: unknown
  Partition: unknown
}>(
  {
    ID: text,
    Name: text,
    Session: text,
    Token: text,
    Template: object(
      { Type: text, Regexp: text, RemoveEmptyTags: boolean },
      { struct: 'structs.QueryTemplateOptions', strict: true },
    ),
    Service: object(
      {
        Service: text,
        Failover: object(
          { NearestN: integer, Datacenters: list(text), Targets: anything },
          { struct: 'structs.QueryDatacenterOptions', strict: true },
        ),
        OnlyPassing: boolean,
        IgnoreCheckIDs: list(text, '[]types.CheckID'),
        Near: text,
        Tags: list(text),
        NodeMeta: texts,
        ServiceMeta: texts,
        Connect: boolean,
        SamenessGroup: anything,
        Peer: anything,
      },
      { struct: 'structs.ServiceQuery', strict: true },
    ),
    DNS: object({ TTL: text }, { struct: 'structs.QueryDNSOptions', strict: true }),
    CreateIndex: anything,
    ModifyIndex: anything,
    Namespace: anything,
    Partition: anything,
  },
  { struct: 'structs.PreparedQuery', strict: true },
)

/** The query of a body, completed. Throws what Consul says of a body that is none. */
export function decodeDefinition(ask: Ask): Definition {
  const {
    ID = '',
    Name = '',
    Session = '',
    Token = '',
    Template = {},
    Service = {},
    DNS = {},
  } = decoded(ask, shape)
  return {
    ID,
    Name,
    Session,
    Token,
    Template: {
      Type: Template.Type ?? '',
      Regexp: Template.Regexp ?? '',
      RemoveEmptyTags: Template.RemoveEmptyTags ?? false,
    },
    Service: {
      Service: Service.Service ?? '',
      Failover: {
        NearestN: Service.Failover?.NearestN ?? 0,
        Datacenters: Service.Failover?.Datacenters ?? null,
      },
      OnlyPassing: Service.OnlyPassing ?? false,
      IgnoreCheckIDs: Service.IgnoreCheckIDs ?? null,
      Near: Service.Near ?? '',
      Tags: Service.Tags ?? null,
      NodeMeta: Service.NodeMeta ?? null,
      ServiceMeta: Service.ServiceMeta ?? null,
      Connect: Service.Connect ?? false,
    },
    DNS: { TTL: DNS.TTL ?? '' },
  }
}

/** Throws what Consul says of a query that cannot be. */
export function checkDefinition(definition: Definition): void {
  const problem = problemOf(definition)
  if (problem !== undefined) throw new ConsulError(500, `Invalid prepared query: ${problem}`)
}

function problemOf({ Name, Session, Token, Template, Service, DNS }: Definition): string | undefined {
  if (Name === '' && Template.Type === '' && Session === '') return 'Must be bound to a session'
  if (Token === redacted)
    return `Bad Token '${Token}', it looks like a query definition with a redacted token was submitted`
  if (Service.Service === '') return 'Must provide a Service name to query'
  const { NearestN } = Service.Failover
  if (NearestN < 0) return `Bad NearestN '${NearestN}', must be >= 0`
  return metadataProblem(Service.NodeMeta) ?? ttlProblem(DNS.TTL)
}

function metadataProblem(pairs: Definition['Service']['NodeMeta']): string | undefined {
  const entries = Object.entries(pairs ?? {})
  if (entries.length > metadata.pairs)
    return `Node metadata cannot contain more than ${metadata.pairs} key/value pairs`
  for (const [key, value] of entries) {
    const problem = pairProblem(key, value)
    if (problem !== undefined) return `Couldn't load metadata pair ('${key}', '${value}'): ${problem}`
  }
  return undefined
}

function pairProblem(key: string, value: string): string | undefined {
  if (key === '') return 'Key cannot be blank'
  if (!/^[a-zA-Z0-9_-]+$/.test(key)) return 'Key contains invalid characters'
  if (key.length > metadata.keyLength) return `Key is too long (limit: ${metadata.keyLength} characters)`
  return value.length > metadata.valueLength
    ? `Value is too long (limit: ${metadata.valueLength} characters)`
    : undefined
}

function ttlProblem(ttl: string): string | undefined {
  if (ttl === '') return undefined
  const ms = goDuration(ttl)
  if (ms === undefined) return `Bad DNS TTL '${ttl}': time: invalid duration "${ttl}"`
  return ms < 0 ? `DNS TTL '${Math.round(ms * 1e6)}', must be >=0` : undefined
}
