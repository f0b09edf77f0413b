import { describe, expect, it } from 'vitest'
import { chosenDifferences } from './chosen-differences.ts'
import { documentedDifferences } from './reference.ts'

describe('docs/reference/consul-api.md', () => {
  it('lists what differs on purpose, with the reasons', () => {
    expect(documentedDifferences).toEqual(chosenDifferences.map(({ name, reason }) => ({ name, reason })))
  })
})
