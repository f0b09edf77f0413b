import { SeamarkError } from '@seamark/core'

const defaultUrl = 'redis://127.0.0.1:6379'

/**
 * What `VASCO_URL` names, for the driver: `redis://[user:password@]host[:port][/db]`, the same without `redis://`,
 * `rediss://…`, or the path of a Unix socket. Default `127.0.0.1:6379`. Throws `configuration`, without any password in it.
 */
export function vascoUrl(text = ''): string {
  if (text === '') return defaultUrl
  if (/^\/(?!\/)/.test(text)) return text
  const url = text.startsWith('//') ? `redis:${text}` : text.includes('://') ? text : `redis://${text}`
  if (/^rediss?:\/\/./.test(url) && URL.canParse(url)) return url
  throw new SeamarkError(
    'configuration',
    'VASCO_URL names no Redis: write 127.0.0.1:6379, redis://user:password@host:6379/0, rediss://… for TLS, or the path of a Unix socket. %40, %2F, %3A, %3F and %23 stand for @, /, :, ? and # in a user or password.',
  )
}
