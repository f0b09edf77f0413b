import { displayName } from '@seamark/core'
import { api, instancePath } from '../api.ts'
import { command } from '../command.ts'
import { Failure } from '../failure.ts'
import { explained, namedInstance } from '../instance-argument.ts'
import * as options from '../options.ts'

export const maintenance = command({
  name: 'maintenance',
  summary: 'take an instance out of service, or put it back',
  description:
    'An instance in maintenance stays registered and listed, but nobody is sent to it. It stays so when it is registered again.',
  arguments: [
    { syntax: '<service>', help: 'the service, or the id of an instance' },
    { syntax: '[id]', help: 'the id of the instance' },
  ],
  options: { ...options.maintenance, ...options.client, ...options.everywhere },
  examples: [
    {
      line: "seamark maintenance api api-web1-3000 --enable --reason 'new disk'",
      does: 'nobody is sent there any more',
    },
    { line: 'seamark maintenance api api-web1-3000 --disable', does: 'back into service' },
  ],
  async run({ settings, arguments: [first, second], output }) {
    const { enable, disable, reason } = settings
    if (enable === disable)
      throw new Failure(
        'usage',
        'Say which of both: --enable takes it out of service, --disable puts it back.',
      )
    const server = api(settings.url)
    const key = await namedInstance(server, settings.namespace, first!, second)
    const { revision } = await server
      .put<{ revision: number }>(`${instancePath(key)}/maintenance`, {
        enable,
        ...(reason !== undefined && { reason }),
      })
      .catch(async (error) => {
        throw await explained(error, server, key)
      })
    if (output.json) output.document({ ...key, maintenance: enable, revision })
    else output.print(`${displayName(key)} is ${enable ? 'in maintenance' : 'back in service'}.`)
    return undefined
  },
})
