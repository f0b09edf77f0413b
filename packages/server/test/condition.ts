/** Resolves once the condition holds: it is looked at again after each turn of the event loop that did something. */
export async function condition(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 2))
}
