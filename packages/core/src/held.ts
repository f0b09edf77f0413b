/**
 * Keeps the process alive while somebody waits: Seamark's own timers do not, and a program that awaits one of them at
 * its top level would end in the middle.
 */
export async function held<T>(waited: Promise<T>): Promise<T> {
  const hold = setInterval(() => {}, 1 << 30)
  try {
    return await waited
  } finally {
    clearInterval(hold)
  }
}
