import type { Dispatcher, RequestInit } from 'undici'

/**
 * `fetch` makes a stream of every body, and a stream is sent only once: an interceptor that gives those back that were whole before.
 * `undefined` for one that was not.
 */
export function wholeBody(init: RequestInit): Dispatcher.DispatcherComposeInterceptor | undefined {
  const body = whole(init.body)
  if (body === undefined) return undefined
  return (dispatch) => (options, handler) =>
    dispatch(options.body == null ? options : { ...options, body }, handler)
}

function whole(body: RequestInit['body']): string | Uint8Array | undefined {
  if (typeof body === 'string') return body
  if (body instanceof URLSearchParams) return String(body)
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
  return undefined
}
