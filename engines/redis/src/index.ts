export { open, type RedisOptions, redis } from './redis.ts'
