export { type DnsSourceOptions, dnsSource, open } from './dns-source.ts'
export { type DnsServer, type DnsServerOptions, dnsServer } from './face/dns-server.ts'
export type { Names, Node, Place, QueryAnswer } from './face/names.ts'
