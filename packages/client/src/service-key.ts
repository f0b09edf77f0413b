import { checkLabel, checkNamespaceLabels, invalidField, type ServiceKey } from '@seamark/core'

/** Takes `service`, which is of `namespace`, or `namespace/service` apart. Throws `invalid_field`. */
export function serviceKey(name: string, namespace: string): ServiceKey {
  // As of a variable of the environment that is not set.
  if (typeof name !== 'string') throw invalidField('name', 'must be a string')
  const slash = name.indexOf('/')
  const key =
    slash === -1
      ? { namespace, service: name }
      : { namespace: name.slice(0, slash), service: name.slice(slash + 1) }
  checkNamespaceLabels('namespace', key.namespace)
  checkLabel('name', key.service)
  return key
}
