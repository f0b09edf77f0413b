export { type SeamarkOptions, seamark } from './seamark.ts'
