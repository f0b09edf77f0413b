import type { Clock } from '@seamark/core'
import { noop } from 'cockatiel'
import {
  castGrpcError,
  Etcd3,
  type ICallable,
  type IDuplexStream,
  type ILeaseKeepAliveRequest,
  type ILeaseKeepAliveResponse,
  type IOptions,
  type IWatchRequest,
  type IWatchResponse,
  KVClient,
  LeaseClient,
} from 'etcd3'
import type { Location } from './location.ts'

export type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>
type RenewalStream = IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>

export interface CallOptions {
  /** Milliseconds since 1970. */
  readonly deadline: number
}

type Exec = ICallable<unknown>['exec']
type Metadata = Parameters<Parameters<ICallable<unknown>['withConnection']>[1]>[0]['metadata']
type Methods = Record<string, (...parameters: readonly unknown[]) => unknown>

/**
 * One member of a cluster, asked once: the driver's retries, its keeping of leases and its watcher are not used. Nor is how it
 * takes part as a user, since that leaves a connection behind for each token.
 */
export class Member {
  readonly kv: KVClient
  readonly leases: LeaseClient
  readonly #client: Client
  readonly #user: Location['user']
  readonly #clock: Clock
  readonly #timeout: number
  #token: Promise<string> | undefined

  /** `timeout`: milliseconds for signing in. */
  constructor(name: string, { user, tls }: Location, clock: Clock, timeout: number) {
    this.#client = new Client(clientOptions(name, tls))
    this.#user = user
    this.#clock = clock
    this.#timeout = timeout
    const calls: ICallable<unknown> = {
      exec: ((service, method, payload, options) =>
        this.#connected(service, (client, metadata) =>
          unary(client, method, payload, metadata, options),
        )) as Exec,
      withConnection: () => Promise.reject(new Error('Streams have methods of their own.')),
      markFailed: () => {},
      callOptionsFactory: undefined,
    }
    this.kv = new KVClient(calls)
    this.leases = new LeaseClient(calls)
  }

  /** A stream of watches, which ends when the member has lost its leader instead of staying silent. */
  watch(): Promise<WatchStream> {
    return this.#connected('Watch', (client, metadata) => {
      metadata.set('hasleader', 'true')
      return client.watch!(metadata) as WatchStream
    })
  }

  renewals(options: CallOptions): Promise<RenewalStream> {
    return this.#connected(
      'Lease',
      (client, metadata) => client.leaseKeepAlive!(metadata, options) as RenewalStream,
    )
  }

  /** Signs in anew with the next call. */
  forgetToken(): void {
    this.#token = undefined
  }

  close(): void {
    this.#client.close()
  }

  async #connected<T>(
    service: Parameters<Exec>[0],
    work: (client: Methods, metadata: Metadata) => Promise<T> | T,
  ): Promise<T> {
    const token = await this.#signIn()
    return this.#client.connected(service, ({ client, metadata }) => {
      if (token !== undefined) metadata.set('token', token)
      return work(client as unknown as Methods, metadata)
    })
  }

  async #signIn(): Promise<string | undefined> {
    if (this.#user === undefined) return undefined
    this.#token ??= this.#authenticate(this.#user)
    const signingIn = this.#token
    try {
      return await signingIn
    } catch (error) {
      if (this.#token === signingIn) this.#token = undefined
      throw error
    }
  }

  async #authenticate({ name, password }: NonNullable<Location['user']>): Promise<string> {
    const options = { deadline: this.#clock.date() + this.#timeout }
    return (await this.#client.auth.authenticate({ name, password }, options)).token
  }
}

/** Lets us at the driver's connections. */
class Client extends Etcd3 {
  async connected<T>(
    service: Parameters<Exec>[0],
    work: (connection: { client: unknown; metadata: Metadata }) => Promise<T> | T,
  ): Promise<T> {
    // The driver closes all its connections when one call fails: here they stay, and mend themselves.
    const outcome = await this.pool.withConnection(service, async (connection) => {
      try {
        return { answer: await work(connection) }
      } catch (error) {
        return { error }
      }
    })
    if ('error' in outcome) throw outcome.error
    return outcome.answer
  }
}

function unary<T>(
  client: Methods,
  method: string,
  payload: unknown,
  metadata: Metadata,
  options: unknown,
): Promise<T> {
  return new Promise((resolve, reject) => {
    client[method]!(payload, metadata, options ?? {}, (error: Error | null, answer: T) =>
      error ? reject(castGrpcError(error)) : resolve(answer),
    )
  })
}

function clientOptions(member: string, tls: Location['tls']): IOptions {
  return {
    hosts: tls === undefined ? member : `https://${member}`,
    ...(tls !== undefined && { credentials: credentials(tls) }),
    faultHandling: { host: () => noop, global: noop },
    grpcOptions: {
      // Every 10 s a connection in use has to answer a ping within 5 s. Members refuse more than one in 5 s
      // (`--grpc-keepalive-min-time`).
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 5_000,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      // A page of instances of the greatest size is larger than the 4 MB of the default.
      'grpc.max_receive_message_length': -1,
      'grpc.service_config_disable_resolution': 1,
    },
  }
}

/** Without `ca`, gRPC takes the authorities that Node.js trusts; the driver's types do not know that. */
function credentials({ ca, cert, key }: NonNullable<Location['tls']>): NonNullable<IOptions['credentials']> {
  return {
    rootCertificate: (ca ?? null) as Buffer,
    ...(cert !== undefined && key !== undefined && { certChain: cert, privateKey: key }),
  }
}
