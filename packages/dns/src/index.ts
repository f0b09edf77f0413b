export { type DnsSourceOptions, dnsSource, open } from './dns-source.ts'
