import { checkLabel, checkName, checkNamespaceLabels, type ServiceKey } from '@seamark/core'

/** Names of what is looked for: whatever core allows, as there may be such. Throws `invalid_field`. */
export function checkPath(params: Readonly<Record<string, string>>): void {
  for (const [field, value] of Object.entries(params)) checkName(field, value)
}

/** Names of what is created: such that DNS can answer for them, unless asked otherwise. Throws `invalid_field`. */
export function checkNewService({ namespace, service }: ServiceKey, names: 'any' | undefined): void {
  if (names === 'any') return
  checkNamespaceLabels('namespace', namespace)
  checkLabel('service', service)
}
