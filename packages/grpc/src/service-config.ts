import {
  Channel,
  credentials,
  experimental,
  type LoadBalancingConfig,
  type MethodConfig,
  type ServiceConfig,
} from '@grpc/grpc-js'
import { invalidField } from '@seamark/core'

/** A service config, as gRPC writes it in JSON: durations are text, such as `"1.5s"`. */
export interface ServiceConfigInput extends Partial<Omit<ServiceConfig, 'methodConfig'>> {
  readonly methodConfig?: readonly (Omit<MethodConfig, 'timeout'> & {
    readonly timeout?: NonNullable<MethodConfig['timeout']> | string
  })[]
}

/** Those of outlier detection. grpc-js wants them taken apart, unlike those of retries. */
const durations = ['interval', 'base_ejection_time', 'max_ejection_time']

/** As grpc-js wants it, with round robin where no balancer is asked for. Throws `invalid_field`. */
export function serviceConfig(field: string, input: ServiceConfigInput): ServiceConfig {
  const { loadBalancingConfig = [{ round_robin: {} }], methodConfig = [], ...rest } = input
  try {
    const balancers = loadBalancingConfig.map(balancer)
    examine({ ...rest, loadBalancingConfig: balancers, methodConfig })
    return {
      ...rest,
      loadBalancingConfig: balancers,
      methodConfig: methodConfig.map(({ timeout, ...method }) => ({
        ...method,
        ...(timeout !== undefined && { timeout: duration(timeout) as NonNullable<MethodConfig['timeout']> }),
      })),
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw Object.assign(invalidField(field, `is no service config: ${reason}`), { cause })
  }
}

/** grpc-js does not examine the config that a resolver gives it, and would fail with each call; but it does that of a channel. */
function examine(config: ServiceConfigInput & Pick<ServiceConfig, 'loadBalancingConfig'>): void {
  const options = { 'grpc.service_config': JSON.stringify(config) }
  new Channel('ipv4:127.0.0.1:1', credentials.createInsecure(), options).close()
  // The first one it has is taken; names it has not are for newer versions.
  const known = config.loadBalancingConfig.find((one) =>
    Object.keys(one).every((name) => experimental.isLoadBalancerNameRegistered(name)),
  )
  if (known === undefined) throw new Error('it names no balancer that grpc-js has')
  experimental.parseLoadBalancingConfig(known)
}

function balancer(config: LoadBalancingConfig): LoadBalancingConfig {
  const detection = config.outlier_detection as Readonly<Record<string, unknown>> | undefined
  if (detection === undefined) return config
  const parsed = durations.map((field) => [field, duration(detection[field])])
  return { outlier_detection: { ...detection, ...Object.fromEntries(parsed) } }
}

/** What is no duration is left as it is, for grpc-js to complain of. */
function duration(value: unknown): unknown {
  return typeof value === 'string' ? (experimental.parseDuration(value) ?? value) : value
}
