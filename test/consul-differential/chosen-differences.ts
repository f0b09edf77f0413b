import type { Answer, Exchange, Step } from './api.ts'

/** Where Seamark answers otherwise than Consul on purpose. `docs/reference/consul-api.md` lists them by their names. */
export interface ChosenDifference {
  readonly name: string
  readonly reason: string
  /** In these alone. Default all. */
  readonly interactions?: readonly string[]
  /** A step as it is compared: without what may differ. */
  readonly equated: (step: Step) => Step
}

export const chosenDifferences: readonly ChosenDifference[] = [
  {
    name: 'Answers are not compressed, and do not say `Vary`',
    reason: 'They are small, and mostly go over loopback; the time is better spent otherwise.',
    equated: ofAnswers(withoutHeaders('vary')),
  },
  {
    name: 'Every cached read is a hit of age 0',
    reason: 'All is answered from a replica that is told of every change: there is nothing to miss.',
    equated: ofAnswers(withoutHeaders('age', 'x-cache')),
  },
  {
    name: 'Checks show the tags that their service has now',
    reason: 'Consul shows those that it had when the check was registered, and nobody relies on old ones.',
    interactions: [
      'agent: registering again replaces the service, and keeps checks not named',
      'agent: maintenance survives registering again',
      "agent: checks show their service's tags, also when those change",
    ],
    equated: ofAnswers(replaced(/"ServiceTags":(?:null|\[[^\]]*\])/g, '"ServiceTags":[]')),
  },
  {
    name: '`?ns=` is taken',
    reason: 'It names a namespace, which Consul has in its enterprise edition alone, and refuses otherwise.',
    interactions: ['catalog: namespaces are not there'],
    equated: ofAnswers(() => nothing),
  },
  {
    name: 'JSON of another shape is refused without the names of types in Go',
    reason: 'Consul prints how it is written inside, up to whole structures.',
    equated: ofAnswers(replaced(/(json: cannot unmarshal .* (?:value|field .*) of type ).*/, '$1…')),
  },
  {
    name: 'Errors of reads carry no index',
    reason:
      'Consul sends with them `X-Consul-Index: 1` and `X-Consul-KnownLeader: false`, whether there is a leader or not.',
    equated: ofAnswers((answer) =>
      answer.status === 500
        ? withoutHeaders('x-consul-index', 'x-consul-knownleader', 'x-consul-lastcontact')(answer)
        : answer,
    ),
  },
  {
    name: 'Paths are taken as they are sent',
    reason: 'Consul redirects `/v1/kv` to `/v1/kv/`, and `a//b` to `a/b`, where a `PUT` loses its body.',
    interactions: [
      'catalog: what is not known',
      'catalog: paths that there are not',
      'kv: keys of any letters',
      'kv: no key',
    ],
    equated: ofAnswers((answer, { path }) => (/\/\/|^[^?]*(?:kv|service)$/.test(path) ? nothing : answer)),
  },
  {
    name: 'Outside `/v1/` the native API answers',
    reason: 'Both have the same port.',
    interactions: ['catalog: paths that there are not'],
    equated: ofAnswers((answer, { path }) => (path.startsWith('/v1/') ? answer : nothing)),
  },
]

const nothing: Answer = { status: 0, headers: {}, text: '', index: 0, json: () => undefined as never }

/** Changes answers, and leaves notes. */
function ofAnswers(change: (answer: Answer, exchange: Exchange) => Answer): (step: Step) => Step {
  return (step) => ('note' in step ? step : { ...step, answer: change(step.answer, step) })
}

function withoutHeaders(...names: readonly string[]): (answer: Answer) => Answer {
  return (answer) => ({
    ...answer,
    headers: Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !names.includes(name))),
  })
}

function replaced(pattern: RegExp, text: string): (answer: Answer) => Answer {
  return (answer) => ({ ...answer, text: answer.text.replace(pattern, text) })
}
