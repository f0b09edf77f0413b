import type { Interactions } from '../api.ts'
import { documentedEndpoints } from '../reference.ts'

/** Every endpoint that the reference lists says which methods it has. */
export const endpoints: Interactions = Object.fromEntries(
  documentedEndpoints
    .filter(({ path }) => !path.endsWith('…'))
    .map(({ path, methods }) => [
      `methods of ${path}`,
      async ({ call, note }) => {
        const { headers } = await call('OPTIONS', path.replaceAll(/:\w+/g, 'x'))
        note('as documented', headers.allow === ['OPTIONS', ...methods].join(','))
      },
    ]),
)
