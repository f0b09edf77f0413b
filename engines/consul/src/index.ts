export { type ConsulOptions, consul, open } from './consul.ts'
