import { connect } from '@seamark/client'
import { rounds } from './rounds.js'

/** @import { Benchmark } from './figure.js' */

const instances = 100
const goals = { warm: { atLeast: 10_000_000 } }

/** @type {Benchmark} */
export default {
  name: 'find',
  title: `one of ${instances} instances, in process, warm`,
  goals,

  async run({ smoke, report }) {
    const discovery = connect('memory:', { signals: false })
    await Promise.all(
      Array.from({ length: instances }, (_, index) =>
        discovery.announce({
          name: 'api',
          id: `api-${index}`,
          address: '10.0.0.1',
          port: 3000,
          version: '1.2.3',
        }),
      ),
    )
    await discovery.find('api')
    const api = discovery.service('api')
    const found = new Set(Array.from({ length: 100 * instances }, () => api.pick()?.id))
    if (found.size !== instances || found.has(undefined))
      throw new Error(`In ${100 * instances} picks, ${found.size} of ${instances} instances were found.`)

    const filter = { version: '^1.2.0' }
    const calls = smoke ? 100_000 : 5_000_000
    /** What is found must be used, or the compiler may leave the finding out. */
    let ports = 0
    const contest = await rounds(
      {
        pick: async () =>
          perSecond(calls, () => {
            ports += api.pick()?.port ?? 0
          }),
        filtered: async () =>
          perSecond(calls, () => {
            ports += api.pick(filter)?.port ?? 0
          }),
        find: async () => {
          const begun = performance.now()
          for (let call = 0; call < calls; call++) ports += (await discovery.find('api')).port
          return (calls / (performance.now() - begun)) * 1_000
        },
      },
      smoke ? 1 : 7,
    )
    if (!(ports > 0)) throw new Error('Nothing was found.')
    report({ what: "service('api').pick()", value: contest.speed('pick'), unit: '/s', goal: goals.warm })
    report({ what: "service('api').pick(filter)", value: contest.speed('filtered'), unit: '/s' })
    report({ what: "await discovery.find('api')", value: contest.speed('find'), unit: '/s' })
    await discovery.close()
  },
}

/**
 * @param {number} calls
 * @param {() => void} call
 */
function perSecond(calls, call) {
  const begun = performance.now()
  for (let done = 0; done < calls; done++) call()
  return (calls / (performance.now() - begun)) * 1_000
}
