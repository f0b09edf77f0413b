import type { Clock } from '@seamark/core'
import type { Stream } from './transport.ts'

/** Milliseconds: three of the server's keep-alive comments. */
const silence = 45_000

/** The stream's chunks; ends it when the next one is waited for too long. A reader that takes its time is no silence. */
export async function* alive(stream: Stream, clock: Clock): AsyncGenerator<Uint8Array> {
  let waitingSince: number | undefined
  const look = () => {
    if (waitingSince !== undefined && clock.now() - waitingSince >= silence) stream.close()
    else timer = clock.after(silence / 9, look)
  }
  let timer = clock.after(silence / 9, look)
  try {
    waitingSince = clock.now()
    for await (const chunk of stream.body) {
      waitingSince = undefined
      yield chunk
      waitingSince = clock.now()
    }
  } finally {
    timer.cancel()
  }
}
