export { open, type PostgresOptions, postgres } from './postgres.ts'
