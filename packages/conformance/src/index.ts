export { describeEngine } from './describe-engine.ts'
export { describeRegistry } from './describe-registry.ts'
export { describeSource } from './describe-source.ts'
export { describeStore } from './describe-store.ts'
export { directoryFollower, type Follower, follower } from './follower.ts'
export type { FollowerOptions } from './following.ts'
export {
  type Breakable,
  type Harness,
  type Skip,
  type SourceHarness,
  type SourceTruth,
  sourceOf,
  type Truth,
} from './harness.ts'
export { type ItemFollower, itemFollower } from './item-follower.ts'
export { drivenTime, realTime, type Time } from './time.ts'
