export { Service, Start, Stop } from './decorators.ts'
export { type Host, type HostOptions, host } from './host.ts'
export type { HostContext, HostedService } from './hosted-service.ts'
export type { Logger } from './logger.ts'
