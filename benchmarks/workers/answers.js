/**
 * Lets the parent process call these functions, and ends with it.
 * @param {Record<string, (argument: any) => unknown>} functions
 */
export function answers(functions) {
  process.on(
    'message',
    async (/** @type {{ id: number, name: string, argument: unknown }} */ { id, name, argument }) => {
      try {
        process.send?.({ id, value: await functions[name]?.(argument) })
      } catch (error) {
        process.send?.({ id, error: error instanceof Error ? error.stack : String(error) })
      }
    },
  )
  process.once('disconnect', () => process.exit(0))
}
