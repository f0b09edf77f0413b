import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { sharedSchemas } from './schemas.ts'
import { version } from './version.ts'

/** Makes the OpenAPI document of all routes that are registered after it. */
export async function openapi(app: FastifyInstance): Promise<void> {
  for (const schema of sharedSchemas) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Seamark',
        version,
        description: 'The native HTTP API of a Seamark server: registering, finding and watching services.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'instances', description: 'Registering instances, and what is observed of them.' },
        { name: 'leases', description: 'Keeping registrations alive.' },
        { name: 'claims', description: 'Names that one lease at a time holds.' },
        { name: 'services', description: 'Finding and watching.' },
        { name: 'items', description: 'Small values beside the registry.' },
        { name: 'operations', description: 'For those who run the server.' },
      ],
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) => String(json.$id ?? `schema${index}`),
    },
  })
}
