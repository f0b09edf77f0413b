/**
 * Reads the query of an engine's URL strictly. `wrong` makes the error for a parameter that is not known, is there twice,
 * or is empty without being one of `mayBeEmpty`.
 */
export function queryParameters<P extends string>(
  query: string,
  parameters: readonly P[],
  wrong: (problem: string) => Error,
  mayBeEmpty: readonly P[] = [],
): Partial<Record<P, string>> {
  const given: Partial<Record<P, string>> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    const known = parameters.find((parameter) => parameter === name)
    if (known === undefined)
      throw wrong(`"${name}" is no parameter of it; there are ${parameters.join(', ')}`)
    if (given[known] !== undefined) throw wrong(`${name} is there twice`)
    if (value === '' && !mayBeEmpty.includes(known)) throw wrong(`${name} is empty`)
    given[known] = value
  }
  return given
}
