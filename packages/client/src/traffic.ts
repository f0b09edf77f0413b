/** The path from a name to bytes, for those who build on it: `@seamark/client/traffic`. */
export type { Condition, Connections } from './traffic/condition.ts'
export { Deadlines } from './traffic/deadlines.ts'
export { type Errand, Exchange, type ExchangeSetting } from './traffic/exchange.ts'
export { type NativeHandler, nativeHandler } from './traffic/native-handler.ts'
export type { OutlierOptions } from './traffic/outlier-detection.ts'
export { type Carrier, Pools, type PoolsOptions } from './traffic/pools.ts'
export type { RetryBudgetOptions } from './traffic/retry-budget.ts'
export {
  Traffic,
  type TrafficHost,
  type TrafficOptions,
  type TrafficSetting,
  trafficSetting,
  type Wish,
} from './traffic/traffic.ts'
