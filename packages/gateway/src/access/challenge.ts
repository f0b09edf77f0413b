import { SeamarkError } from '@seamark/core'

/** Why a token is not believed. */
export type Reason = 'missing' | 'invalid' | 'expired'

export function unauthenticated(reason: Reason, message: string, cause?: unknown): SeamarkError {
  return new SeamarkError('unauthenticated', message, {
    details: { reason },
    ...(cause !== undefined && { cause }),
  })
}

/** The header `www-authenticate` that goes with an answer (RFC 6750, 3); `undefined` for errors that need none. */
export function challenge({ code, message, details }: SeamarkError): string | undefined {
  if (code === 'forbidden') return 'Bearer error="insufficient_scope"'
  if (code !== 'unauthenticated') return undefined
  // Who brought nothing is told nothing but what to bring (3.1).
  if (details?.reason === 'missing') return 'Bearer'
  return `Bearer error="invalid_token", error_description="${message.replace(/[^\x20-\x7e]|["\\]/g, "'")}"`
}
