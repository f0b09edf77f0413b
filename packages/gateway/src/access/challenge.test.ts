import { SeamarkError } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { challenge, unauthenticated } from './challenge.ts'

describe('the challenge of an answer', () => {
  it.each([
    [unauthenticated('missing', 'Send a token.'), 'Bearer'],
    [
      unauthenticated('expired', 'The token has expired.'),
      'Bearer error="invalid_token", error_description="The token has expired."',
    ],
    [
      unauthenticated('invalid', 'The claim "aüd"\r\n\\ is wrong.'),
      `Bearer error="invalid_token", error_description="The claim 'a'd'''' is wrong."`,
    ],
    [new SeamarkError('forbidden', 'No.'), 'Bearer error="insufficient_scope"'],
    [new SeamarkError('not_allowed', 'No.'), undefined],
    [new SeamarkError('keys_unavailable', 'Later.'), undefined],
  ])('%s is %j', (error, header) => {
    expect(challenge(error)).toBe(header)
  })
})
