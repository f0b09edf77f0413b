export { describeEngine } from './describe-engine.ts'
export { describeRegistry } from './describe-registry.ts'
export { describeSource } from './describe-source.ts'
export { directoryFollower, type Follower, type FollowerOptions, follower } from './follower.ts'
export {
  type Breakable,
  type Harness,
  type Skip,
  type SourceHarness,
  type SourceTruth,
  sourceOf,
  type Truth,
} from './harness.ts'
export { drivenTime, realTime, type Time } from './time.ts'
