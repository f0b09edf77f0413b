import { isSeamarkError } from '@seamark/core'
import { hostPort } from '../address.ts'
import { api, servicePath } from '../api.ts'
import { command } from '../command.ts'
import type { EntryDocument } from '../documents.ts'
import { missingService } from '../missing-service.ts'
import * as options from '../options.ts'

export const find = command({
  name: 'find',
  summary: 'choose a healthy instance of a service, and print its address',
  description:
    'Chooses at random, by weight; passing instances before warning ones, never a critical one or one in maintenance.',
  arguments: [{ syntax: '<service>', help: 'the service' }],
  options: { ...options.find, ...options.client, ...options.everywhere },
  examples: [
    { line: 'seamark find api', does: 'prints 127.0.0.1:3000' },
    { line: 'curl "$(seamark find api --origin)/users"', does: 'calls it' },
    {
      line: "seamark find api --version '^2.1' --zone eu-1 --json",
      does: 'all that is known of the chosen one',
    },
  ],
  async run({ settings, arguments: [service], output }) {
    const key = { namespace: settings.namespace, service: service! }
    const { version, tag, zone } = settings
    const server = api(settings.url)
    const { instance } = await server
      .get<{ instance: EntryDocument }>(`${servicePath(key)}/instance`, { version, tag, zone })
      .catch(async (error) => {
        throw isSeamarkError(error, 'service_not_found') ? await missingService(server, key) : error
      })
    const { scheme } = instance
    if (output.json) output.document({ instance })
    else output.print(settings.origin ? `${scheme}://${hostPort(instance)}` : hostPort(instance))
    return undefined
  },
})
