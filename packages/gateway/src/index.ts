export { defaultBounds, type GatewayBounds } from './front/bounds.ts'
export type { CertificateFiles } from './front/certificate.ts'
export { type Gateway, type GatewayOptions, gateway } from './gateway.ts'
export type * from './ports.ts'
