import { displayName } from '@seamark/core'
import { api, instancePath } from '../api.ts'
import { command } from '../command.ts'
import { explained, namedInstance } from '../instance-argument.ts'
import { client, everywhere } from '../options.ts'

export const deregister = command({
  name: 'deregister',
  summary: 'remove an instance',
  description:
    'An instance whose own process announces it comes back: take it out of service with `seamark maintenance` instead.',
  arguments: [
    { syntax: '<service>', help: 'the service, or the id of an instance' },
    { syntax: '[id]', help: 'the id of the instance' },
  ],
  options: { ...client, ...everywhere },
  examples: [
    { line: 'seamark deregister api api-web1-3000', does: 'an instance of a service' },
    {
      line: 'seamark deregister api-web1-3000',
      does: 'by its id alone, which is slower where there are many',
    },
  ],
  async run({ settings: { url, namespace }, arguments: [first, second], output }) {
    const server = api(url)
    const key = await namedInstance(server, namespace, first!, second)
    const { revision } = await server.delete<{ revision: number }>(instancePath(key)).catch(async (error) => {
      throw await explained(error, server, key)
    })
    if (output.json) output.document({ ...key, revision })
    else output.print(`Deregistered ${displayName(key)}.`)
    return undefined
  },
})
