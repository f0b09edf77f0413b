export { type LmdbOptions, lmdb, open } from './lmdb.ts'
