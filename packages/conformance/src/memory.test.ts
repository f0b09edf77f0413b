import { memory } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { describeEngine } from './describe-engine.ts'
import { drivenTime } from './time.ts'

describeEngine('the memory engine', {
  terms: { minimumTtl: 100, lateness: 500 },
  async setup() {
    const clock = fakeClock()
    const engine = memory({ clock })
    return {
      time: drivenTime(clock),
      open: async () => engine,
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    }
  },
  skip: [
    {
      reason: 'it is in its process: there is no connection to lose',
      tests: [
        'a watch whose connection breaks catches up',
        'a watch whose connection breaks again and again shows nothing partly',
        'writing goes on after a disconnect',
        'a watch of items whose connection breaks tells afterwards what it missed',
      ],
    },
    {
      reason: 'it keeps nothing when its process ends',
      tests: [
        'a watch shows after a crash what was kept',
        'items outlive the handle that wrote them, and those who hold the truth',
        'a registration survives a crash',
        'a lease survives a crash, with no less than its TTL left after its last renewal',
        'a lease can be renewed after a crash',
        'what was released or deregistered before a crash stays away',
        'a claim survives a crash with its lease, and its fence does not go back',
        'disposing of a handle releases no lease',
      ],
    },
  ],
})
