import { jsonAnswer } from './answer.ts'
import { knownDatacenter } from './blocking.ts'
import type { Endpoints } from './endpoint.ts'

/** Who leads. */
export const status: Endpoints = (context) => [
  {
    path: '/v1/status/leader',
    methods: ['GET'],
    answer(ask) {
      knownDatacenter(context, ask)
      return jsonAnswer(ask, '')
    },
  },
]
