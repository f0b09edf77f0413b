export { type RegisterOptions, register } from './register.ts'
export type { ServiceConfigInput } from './service-config.ts'
