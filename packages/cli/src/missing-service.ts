import { displayName, SeamarkError, type ServiceKey } from '@seamark/core'
import type { Api } from './api.ts'
import { everyService } from './service-list.ts'
import { suggestion } from './suggestion.ts'

/** The error for a service that is not there; it says which may have been meant, or which there are. */
export async function missingService(server: Api, key: ServiceKey): Promise<SeamarkError> {
  const names = (await everyService(server, key.namespace)).map(({ service }) => service)
  const near = suggestion(key.service, names)
  const known =
    names.length === 0
      ? ` Namespace ${key.namespace} has no services.`
      : ` There are: ${names.slice(0, 10).join(', ')}${names.length > 10 ? `, and ${names.length - 10} more` : ''}.`
  return new SeamarkError(
    'service_not_found',
    `No instance of ${displayName(key)} is registered.${near === '' ? known : near}`,
  )
}
