export { Backoff, type BackoffOptions } from './backoff.ts'
export { type Clock, sleep, systemClock, type Timer } from './clock.ts'
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
export {
  type CheckDefinition,
  type CheckInput,
  type CommandCheck,
  type GrpcCheck,
  type HttpCheck,
  type Instance,
  type InstanceInput,
  instance,
  splitTarget,
  type TcpCheck,
} from './instance.ts'
export type { Journal, JournalCommit, JournalState, JournalWrite, Registration } from './journal.ts'
export { grantedTtl } from './lease.ts'
export { limits } from './limits.ts'
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
  Lease,
  Notice,
  Notify,
  RegisterOptions,
  Registry,
  Revision,
  Source,
  Terms,
} from './ports.ts'
export type { Snapshot } from './snapshot.ts'
