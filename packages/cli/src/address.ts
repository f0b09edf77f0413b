import { isIPv6 } from 'node:net'

/** `127.0.0.1:3000`, `[::1]:3000`, and without a port `db.example`. */
export function hostPort({ address, port }: { address: string; port: number }): string {
  const host = isIPv6(address) ? `[${address}]` : address
  return port === 0 ? host : `${host}:${port}`
}
