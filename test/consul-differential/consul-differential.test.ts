import { memory } from '@seamark/core'
import { type Server, server } from '@seamark/server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConsulServer, consulServer } from '../servers/consul.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { endedEarly, Peer, type Step } from './api.ts'
import { chosenDifferences } from './chosen-differences.ts'
import { agent } from './interactions/agent.ts'
import { catalog } from './interactions/catalog.ts'
import { endpoints } from './interactions/endpoints.ts'
import { filter } from './interactions/filter.ts'
import { health } from './interactions/health.ts'
import { indexes } from './interactions/indexes.ts'
import { kv } from './interactions/kv.ts'
import { others } from './interactions/others.ts'
import { query } from './interactions/query.ts'
import { session } from './interactions/session.ts'
import { transaction } from './interactions/txn.ts'
import { randomCalls } from './random-calls.ts'
import { documentedEndpoints } from './reference.ts'
import { type Ports, transcript } from './transcript.ts'

const groups = {
  agent,
  catalog,
  health,
  filter,
  kv,
  session,
  txn: transaction,
  query,
  others,
  indexes,
  endpoints,
}

/** Where chosen differences may occur that are no interaction. */
const random = 'random calls'

const nodeName = 'harbour'
const nodeId = '6c5a7d0e-7a3b-4f43-9a52-1f1d2c3b4a59'

interface Side {
  readonly peer: Peer
  readonly ports: Ports
}

async function side(port: number): Promise<Side> {
  const self = await fetch(`http://127.0.0.1:${port}/v1/agent/self`)
  const { Member } = (await self.json()) as { Member: { Port: number; Tags: { port: string } } }
  const peer = new Peer(port, nodeName)
  // Interactions name small indexes where they mean one that is not right.
  for (let index = 0; index < 10; index++) await peer.steps(({ put }) => put('/v1/kv/first', `${index}`))
  return { peer, ports: [port, Number(Member.Tags.port), Member.Port] }
}

engineTests('consul', () => {
  let program: ConsulServer
  let ours: Server
  let consul: Side
  let seamark: Side
  const differing = new Set<string>()

  beforeAll(async () => {
    // What it delays otherwise is shown at once, as Seamark does.
    const settings = { node_name: nodeName, node_id: nodeId, check_update_interval: '0s' }
    program = await consulServer({ settings })
    consul = await side(program.port)
    ours = await server({ engine: memory(), engineName: 'memory', port: 0, consul: { nodeName, nodeId } })
    seamark = await side(ours.port)
  })
  afterAll(async () => {
    consul?.peer.close()
    seamark?.peer.close()
    await ours?.[Symbol.asyncDispose]()
    await program?.[Symbol.asyncDispose]()
  })

  /** What is compared, with one of the chosen differences nevertheless in it. */
  function compared(where: string, steps: readonly Step[], { ports }: Side, shown?: string): string {
    const differences = chosenDifferences.filter(
      ({ name, interactions }) => name !== shown && interactions?.includes(where) !== false,
    )
    return transcript(
      steps.map((step) => differences.reduce((changed, { equated }) => equated(changed), step)),
      ports,
    )
  }

  describe.each(Object.entries(groups))('%s', (group, interactions) => {
    let recording = ''
    /** Paths that Consul knows. */
    const answered = new Set<string>()

    it.each(Object.entries(interactions))(
      '%s',
      async (name, interaction) => {
        const [theirs, steps] = await Promise.all([
          consul.peer.steps(interaction),
          seamark.peer.steps(interaction),
        ])
        recording += `## ${name}\n\n${transcript(theirs, consul.ports)}\n`
        expect(theirs.filter((step) => 'note' in step && step.note === endedEarly)).toEqual([])
        for (const step of theirs)
          if ('path' in step && step.answer.status === 200) answered.add(step.path.split('?')[0]!)
        const where = `${group}: ${name}`
        for (const { name } of chosenDifferences)
          if (compared(where, steps, seamark, name) !== compared(where, theirs, consul, name))
            differing.add(name)
        expect(compared(where, steps, seamark)).toBe(compared(where, theirs, consul))
      },
      60_000,
    )

    it('asks only what the reference lists', () => {
      const unlisted = [...answered].filter((path) => !documentedEndpoints.some(({ takes }) => takes(path)))
      expect(unlisted).toEqual([])
    })

    it('is what is recorded of Consul', async () => {
      await expect(recording).toMatchFileSnapshot(`recordings/${group}.txt`)
    })
  })

  // Seeds that were told apart once have become interactions.
  it.each(Array.from({ length: 30 }, (_, index) => index + 1))(
    'answers random calls alike (seed %i)',
    async (seed) => {
      const interaction = randomCalls(seed)
      const [theirs, steps] = await Promise.all([
        consul.peer.steps(interaction),
        seamark.peer.steps(interaction),
      ])
      expect(compared(random, steps, seamark)).toBe(compared(random, theirs, consul))
    },
  )

  it('has chosen differences in interactions that there are', () => {
    const names = Object.entries(groups).flatMap(([group, interactions]) =>
      Object.keys(interactions).map((name) => `${group}: ${name}`),
    )
    expect([...names, random]).toEqual(
      expect.arrayContaining(chosenDifferences.flatMap(({ interactions }) => interactions ?? [])),
    )
  })

  it.each(chosenDifferences.map(({ name }) => name))('is chosen to differ: %s', (name) => {
    expect(differing).toContain(name)
  })
})
