import { type ChannelOptions, experimental } from '@grpc/grpc-js'
import type { Discovery } from '@seamark/client'
import { invalidField, select } from '@seamark/core'
import { PushedResolver } from './resolver.ts'
import { type ServiceConfigInput, serviceConfig } from './service-config.ts'
import { target } from './target.ts'

export interface RegisterOptions {
  /** What targets begin with: one for each registry. Default `seamark`. */
  readonly scheme?: string
  /**
   * For channels that were given no `grpc.service_config` of their own. Where that, or this, asks for no balancer, it is
   * `round_robin`. Default: only that.
   */
  readonly serviceConfig?: ServiceConfigInput
  /**
   * When less than this share of the instances is healthy, health is not believed, and all get calls, but for those in
   * maintenance. 0 never does that. Default 0.5, as for HTTP.
   */
  readonly panic?: number
}

/**
 * From now on, gRPC clients may be made for `seamark:///api` and `seamark:///namespace/api`, with `?version=^2.1`, `?zone=a`
 * and `?tag=blue` (several: all of them). For the whole process: the last registration of a scheme counts, for the channels
 * that are made after it. The discovery must stay open as long as they are used. Throws `invalid_field`; so does making a
 * client for a target that is wrong.
 */
export function register(discovery: Pick<Discovery, 'service'>, options: RegisterOptions = {}): void {
  const { scheme = 'seamark', panic = 0.5 } = options
  if (!/^[a-z][a-z0-9.-]*$/.test(scheme))
    throw invalidField('scheme', 'must be a letter followed by a-z, 0-9, "." and "-", such as "seamark"')
  if (!(panic >= 0 && panic <= 1)) throw invalidField('panic', 'must be a share, from 0 to 1')
  const common = serviceConfig('serviceConfig', options.serviceConfig ?? {})

  experimental.registerResolver(
    scheme,
    class extends PushedResolver {
      constructor(
        uri: experimental.GrpcUri,
        listener: experimental.ResolverListener,
        channelOptions: ChannelOptions,
      ) {
        const { name, filter } = target(uri)
        // What is wrong with the filter is to be told now, and not with each change.
        select([], filter)
        const own = channelOptions['grpc.service_config']
        super(
          {
            service: discovery.service(name),
            filter,
            panic,
            serviceConfig: own === undefined ? common : serviceConfig('grpc.service_config', JSON.parse(own)),
          },
          listener,
        )
      }

      /** What certificates name, and what HTTP requests to the service are made to: `api.seamark`, `api.shop.seamark`. */
      static getDefaultAuthority(uri: experimental.GrpcUri): string {
        const { name } = target(uri)
        return [...name.split('/').reverse(), 'seamark'].join('.')
      }
    },
  )
}
