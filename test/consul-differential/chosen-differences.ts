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
      'random calls',
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
    name: 'Paths are taken as they are sent',
    reason: 'Consul redirects `/v1/kv` to `/v1/kv/`, and `a//b` to `a/b`, where a `PUT` loses its body.',
    interactions: [
      'catalog: what is not known',
      'catalog: paths that there are not',
      'kv: two slashes',
      'query: what is not known',
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
  {
    name: 'A URL that cannot be decoded is refused in the words of the native API',
    reason: 'It is refused before anything is known of who is asked.',
    interactions: ['kv: keys with letters that cannot be printed'],
    equated: ofAnswers((answer, { path }) => (path.includes('%zz') ? nothing : answer)),
  },
  {
    name: 'Services are looked up by their names as they are written',
    reason: '`Web` and `web` are two services, as everywhere in Seamark; Consul answers with both to either.',
    interactions: ['agent: names differ by their case, ids do not'],
    equated: ofAnswers((answer, { path }) => (/\/service\/w/i.test(path) ? nothing : answer)),
  },
  {
    name: 'An empty tag is not listed',
    reason: 'It is kept with its service, but nobody can ask for it.',
    interactions: ['agent: tags may repeat, and be empty'],
    equated: ofAnswers((answer, { path }) =>
      path === '/v1/catalog/services' ? replaced(/"",|,""/, '')(answer) : answer,
    ),
  },
  {
    name: 'A port is 0 to 65535, in any notation of JSON',
    reason: 'Consul keeps -1 and 70000, which nobody can connect to; and refuses 80.0, as Go does.',
    interactions: ['agent: ports as Go reads numbers'],
    equated: ofAnswers((answer, { method }) => (method === 'PUT' ? nothing : answer)),
  },
  {
    name: 'An address is an IP address or a host name',
    reason: 'Nobody can connect to `a b`.',
    interactions: ['agent: an address that is no address'],
    equated: ofAnswers(() => nothing),
  },
  {
    name: 'Names and ids have at most 255 bytes of UTF-8, without control characters',
    reason: 'Consul keeps any, but cannot deregister one that cannot be printed.',
    interactions: ['agent: names that are too long'],
    equated: ofAnswers(() => nothing),
  },
  {
    name: 'An output is at most 4 KB, together with the note of what was cut',
    reason: 'So long an output is kept anywhere in Seamark.',
    interactions: ['agent: a long output is cut'],
    equated: (step) =>
      'note' in step
        ? { ...step, value: undefined }
        : { ...step, answer: replaced(/x{4000,4096} \.\.\. /, '… ')(step.answer) },
  },
  {
    name: 'There is nothing to join',
    reason: 'Servers find one another through the registry that they share.',
    interactions: ['agent: reload, tokens, join and force-leave'],
    equated: ofAnswers((answer, { path }) => (path === '/v1/agent/join/' ? { ...answer, text: '' } : answer)),
  },
  {
    name: 'All methods of `/v1/query/` are told for all that is below',
    reason: 'Consul parses these paths in a place of their own, which answers `OPTIONS` with `{}`.',
    interactions: [
      'catalog: wrong methods',
      'endpoints: methods of /v1/query/:id',
      'endpoints: methods of /v1/query/:id/execute',
      'endpoints: methods of /v1/query/:id/explain',
    ],
    equated: (step) => {
      if ('note' in step) return { ...step, value: undefined }
      if (!step.path.startsWith('/v1/query/')) return step
      return { ...step, answer: step.method === 'OPTIONS' ? nothing : withoutHeaders('allow')(step.answer) }
    },
  },
  {
    name: 'Transactions write keys',
    reason:
      'Nodes, services and checks are part of the registry, which has no transactions; they can be read.',
    interactions: ['txn: services, nodes and checks'],
    equated: ofAnswers(() => nothing),
  },
  {
    name: 'Nobody is authorized',
    reason:
      'Connect is off: Consul then says that everybody is, which no one should hear who is about to let a stranger in.',
    interactions: ['others: connect: authorize'],
    equated: ofAnswers(() => nothing),
  },
  {
    name: 'An index never goes back',
    reason: 'That of a node that is gone does in Consul, and who waits for it misses that.',
    interactions: ['indexes: an external node goes'],
    equated: (step) => ('note' in step && step.note.endsWith('did not grow') ? { ...step, value: [] } : step),
  },
  {
    name: '`?passing` leaves the order of instances as it is',
    reason: 'Consul puts the last one in the place of one that it leaves out.',
    interactions: ['health: service: passing, of several'],
    equated: (step) => ('note' in step ? step : { ...step, unordered: true }),
  },
  {
    name: '`?replace-existing-checks` ends no maintenance',
    reason:
      'Who took a service out of use puts it back: it is not up to the service, which registers as always.',
    interactions: ['agent: replace-existing-checks in maintenance'],
    equated: ofAnswers((answer, { method }) => (method === 'GET' ? nothing : answer)),
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
