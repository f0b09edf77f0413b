export { type Bounds, defaultBounds, requestLimits } from './bounds.ts'
export type { ConsulOptions } from './consul/options.ts'
export { type Notices, notices } from './notices.ts'
export { type Server, type ServerOptions, server } from './server.ts'
