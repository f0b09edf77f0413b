export {
  type Announcement,
  type CheckInput,
  type Duration,
  type Entry,
  type ErrorCode,
  type HealthStatus,
  type Instance,
  isSeamarkError,
  type Notice,
  type Notify,
  SeamarkError,
  type Snapshot,
} from '@seamark/core'
export { type Availability, availability } from './availability.ts'
export type { Primacy } from './campaign.ts'
export { type ConnectOptions, connect } from './connect.ts'
export type { AnnounceOptions, Discovery } from './discovery.ts'
export type { Endpoint } from './endpoint.ts'
export { type HttpEngine, type HttpOptions, http } from './http.ts'
export { type OpenEngineOptions, openEngine } from './open-engine.ts'
export {
  type AnnouncePackageOptions,
  announcePackage,
  type PackageAnnouncement,
} from './package-announcement.ts'
export type { PackageDependency } from './package-dependency.ts'
export type { FindFilter, Primary } from './primary.ts'
export type { Filter, Service, WaitOptions } from './service.ts'
export type { RequestOptions } from './traffic/destinations.ts'
export { type InterceptorOptions, interceptor } from './traffic/interceptor.ts'
export type { OutlierOptions } from './traffic/outlier-detection.ts'
export type { RetryBudgetOptions } from './traffic/retry-budget.ts'
export { type DispatcherOptions, dispatcher, type ServiceDispatcher } from './traffic/service-dispatcher.ts'
export type { TrafficOptions } from './traffic/traffic.ts'
