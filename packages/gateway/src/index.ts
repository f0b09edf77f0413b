export { defaultBounds, type GatewayBounds } from './front/bounds.ts'
export type { CertificateFiles } from './front/certificate.ts'
export { type Gateway, type GatewayOptions, gateway } from './gateway.ts'
export type * from './ports.ts'
export {
  type Explanation,
  explanation,
  type Forwarded,
  type Refused,
  type Verdict,
} from './routes/explanation.ts'
export type { SkippedRoute } from './routes/registry-routes.ts'
export { type GatewayRoutes, type RoutesOptions, routes } from './routes/routes.ts'
export { type ConflictJson, type RuleJson, routesJson } from './status/route-json.ts'
export type { RequestLogOptions } from './telemetry/request-log.ts'
