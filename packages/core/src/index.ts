export { type Announcement, type AnnouncementOptions, KeptAnnouncement, type Tenure } from './announcement.ts'
export { Backoff, type BackoffOptions } from './backoff.ts'
export type { Balancer, Choice } from './balancer.ts'
export { affinity } from './balancers/affinity.ts'
export { leastCost } from './balancers/least-cost.ts'
export { roundRobin } from './balancers/round-robin.ts'
export { slowStart } from './balancers/slow-start.ts'
export { weightedRandom } from './balancers/weighted-random.ts'
export { type ZoneOptions, zoneAware } from './balancers/zone-aware.ts'
export { candidates, subset } from './candidates.ts'
export {
  type Catalog,
  type CatalogOptions,
  type CatalogUpdate,
  catalog,
  type WatchingCatalogOptions,
  watchingCatalog,
} from './catalog.ts'
export { changedService, type EntryChange } from './change.ts'
export { type Clock, sleep, systemClock, type Timer } from './clock.ts'
export { type Duration, durationPattern, milliseconds } from './duration.ts'
export { type EmbeddedOptions, embedded } from './embedded.ts'
export {
  type ErrorCode,
  type ErrorDetails,
  errorCodes,
  invalidField,
  isSeamarkError,
  leaseLost,
  SeamarkError,
} from './errors.ts'
export {
  type CheckReport,
  type CheckResult,
  type Health,
  type HealthStatus,
  health,
  healthStatuses,
  maintenanceCheck,
  passing,
  registeredHealth,
  reported,
} from './health.ts'
export { held } from './held.ts'
export { type HostGuard, type HostGuardOptions, hostGuard, hostNotAllowed, isLoopback } from './host-guard.ts'
export {
  type CheckDefinition,
  type CheckInput,
  type CommandCheck,
  type GrpcCheck,
  type HttpCheck,
  type InitialStatus,
  type Instance,
  type InstanceInput,
  instance,
  type ReportedCheck,
  type ScheduledCheck,
  splitTarget,
  type TcpCheck,
} from './instance.ts'
export { type Items, type ItemsOptions, type ItemsUpdate, items, type SingleItemChange } from './items.ts'
export type { Journal, JournalCommit, JournalState, JournalWrite, Registration } from './journal.ts'
export { grantedTtl } from './lease.ts'
export { type Dated, Ledger, type LedgerOptions } from './ledger.ts'
export { limits } from './limits.ts'
export { Mailbox } from './mailbox.ts'
export { memory } from './memory.ts'
export {
  checkLabel,
  checkName,
  checkNamespaceLabels,
  checkText,
  defaultNamespace,
  displayName,
  type InstanceKey,
  instanceId,
  type ServiceKey,
  serviceId,
} from './names.ts'
export type {
  Batch,
  Change,
  Claim,
  ClaimKey,
  Directory,
  Engine,
  Entry,
  Holder,
  Item,
  ItemBatch,
  ItemChange,
  Lease,
  Notice,
  Notify,
  RegisterOptions,
  Registry,
  Revision,
  Source,
  Store,
  Terms,
  WriteOperation,
} from './ports.ts'
export { publicUrl } from './public-url.ts'
export { queryParameters } from './query-parameters.ts'
export { type LeaseFacts, type LeaseHost, RemoteLease } from './remote-lease.ts'
export { rendezvous } from './rendezvous.ts'
export { type Route, type RouteInput, route } from './route.ts'
export { healthy, type Selection, select, versionRange } from './selection.ts'
export type { Snapshot } from './snapshot.ts'
export { checkPrefix, checkWrite, storedItem } from './store.ts'
export { storedInstance } from './stored.ts'
export { token } from './token.ts'
export { Wakeups } from './wakeups.ts'
