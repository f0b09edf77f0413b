const codes = new Set(['ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'])

/** Whether a request failed before a byte of it was sent: then it may be sent elsewhere, whatever it is. */
export function isNotConnected(error: unknown): boolean {
  // Node tries all addresses of a name, and then says what came of each.
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error]
  return errors.every(
    (each) =>
      each instanceof Error &&
      // Whatever came of it: also a connection that nobody took yet is reset when its server is killed.
      (('syscall' in each && each.syscall === 'connect') || ('code' in each && codes.has(String(each.code)))),
  )
}
