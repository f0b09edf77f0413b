import type { Api, Interactions } from '../api.ts'

async function services({ put }: Pick<Api, 'put'>): Promise<void> {
  await put('/v1/agent/service/register', {
    ID: 'web-1',
    Name: 'web',
    Address: '10.0.0.1',
    Port: 80,
    Tags: ['v1', 'primary'],
    Meta: { env: 'prod', 'with-dash': 'x', with_under: 'y' },
    TaggedAddresses: { lan: { address: '10.0.0.1', port: 80 } },
    EnableTagOverride: true,
    Weights: { Passing: 5, Warning: 1 },
  })
  await put('/v1/agent/service/register', { ID: 'api-1', Name: 'api', Port: 8080, Tags: ['v2'] })
  await put('/v1/agent/service/register', { ID: 'db-1', Name: 'db', Port: 5432, Meta: { env: 'test' } })
}

/** Notes which services of the agent a filter leaves, or records why it is refused. */
function leaves(...expressions: string[]): (api: Api) => Promise<void> {
  return async (api) => {
    await services(api)
    for (const expression of expressions) {
      const path = `/v1/agent/services?filter=${encodeURIComponent(expression)}`
      const { status, text } = await api.peek(path)
      api.note(expression, status === 200 ? Object.keys(JSON.parse(text)).sort() : `${status} ${text}`)
    }
  }
}

/** The same of instances of a service, as the health endpoint lists them. */
function leavesInstances(...expressions: string[]): (api: Api) => Promise<void> {
  return async (api) => {
    for (const [Node, Status, Tags] of [
      ['a', 'passing', ['x', 'y']],
      ['b', 'warning', ['x']],
      ['c', 'critical', []],
    ] as const) {
      await api.put('/v1/catalog/register', {
        Node,
        Address: `10.0.0.${Node.charCodeAt(0)}`,
        NodeMeta: { name: Node, os: 'linux' },
        TaggedAddresses: { lan: '10.1.1.1' },
        Service: { ID: `db-${Node}`, Service: 'db', Port: Node.charCodeAt(0), Tags, Meta: { [Node]: 'yes' } },
        Checks: [
          { CheckID: 'alive', Name: 'alive', Status: 'passing' },
          { CheckID: 'db', Name: 'db', Status, ServiceID: `db-${Node}`, Output: `it is ${Status}` },
        ],
      })
    }
    for (const expression of expressions) {
      const { status, text } = await api.peek(
        `/v1/health/service/db?filter=${encodeURIComponent(expression)}`,
      )
      const list = () => (JSON.parse(text) as { Node: { Node: string } }[]).map(({ Node }) => Node.Node)
      api.note(expression, status === 200 ? list() : `${status} ${text}`)
    }
  }
}

export const filter: Interactions = {
  'equal and not equal': leaves(
    'Service == web',
    'Service == "web"',
    'Service == `web`',
    'Service != web',
    'ID == "web-1"',
    'Port == 80',
    'Port != 80',
    'Port == "80"',
    'EnableTagOverride == true',
    'EnableTagOverride == false',
    'EnableTagOverride != true',
    'Weights.Passing == 5',
    'Address == "10.0.0.1"',
    'Address == 10.0.0.1',
    'Kind == ""',
    'Service==web',
    ' Service  ==  web ',
  ),
  'in and not in': leaves(
    'v1 in Tags',
    '"v1" in Tags',
    '"v1" not in Tags',
    'env in Meta',
    '"env" not in Meta',
    '"we" in Service',
    'we not in Service',
    'web in Service',
    '`primary` in Tags',
  ),
  'contains and not contains': leaves(
    'Tags contains v1',
    'Tags not contains "v1"',
    'Meta contains env',
    'Meta not contains env',
    'Service contains eb',
    'Service not contains eb',
  ),
  'matches and not matches': leaves(
    'Service matches "^w"',
    'Service matches `b$`',
    'Service not matches "^w"',
    'Service matches "(?i)WEB"',
    'Service matches ".*"',
    'Service matches "["',
    'Port matches "8.*"',
    'Tags matches "v1"',
    'Meta.env matches "^p"',
    'Meta.env not matches "^p"',
  ),
  'is empty and is not empty': leaves(
    'Tags is empty',
    'Tags is not empty',
    'Meta is empty',
    'Meta is not empty',
    'Address is empty',
    'Address is not empty',
    'TaggedAddresses is empty',
    'TaggedAddresses is not empty',
    'Port is empty',
    'EnableTagOverride is empty',
  ),
  'and, or, not, parentheses': leaves(
    'Service == web and Port == 80',
    'Service == web and Port == 81',
    'Service == web or Service == db',
    'not Service == web',
    'not (Service == web or Service == api)',
    'Service == web or Service == api and Port == 8080',
    '(Service == web or Service == api) and Port == 8080',
    '((Service == web))',
    'not not Service == web',
    'not Service == web and Port == 8080',
    'Service == web and not v2 in Tags',
    'Service == web AND Port == 80',
    'NOT Service == web',
    '(Service==web)and(Port==80)',
    'Service == web and Port == 80 and v1 in Tags',
    'Service == web or Port == 8080 or Port == 5432',
  ),
  'keys of maps': leaves(
    'Meta.env == prod',
    'Meta.env != prod',
    'Meta["env"] == prod',
    'Meta["with-dash"] == x',
    'Meta[`with_under`] == y',
    'Meta.with_under == y',
    'Meta["with.dot"] == y',
    'Meta.with-dash == x',
    'Meta.none == x',
    'Meta.none != x',
    'Meta.none is empty',
    'Meta.none is not empty',
    'Meta.env is empty',
    'Meta.env contains pro',
    'TaggedAddresses.lan.Address == "10.0.0.1"',
    'TaggedAddresses["lan"].Port == 80',
    'TaggedAddresses.wan.Port == 80',
    'lan in TaggedAddresses',
  ),
  'selectors that there are not': leaves(
    'Nothing == 1',
    'service == web',
    'Meta == x',
    'Tags == v1',
    'Tags.v1 == 1',
    'Service.Name == web',
    'Weights == 1',
    'Weights.Nothing == 1',
    'Port.x == 1',
    'Weights is empty',
    'web in Nothing',
    'Nothing is empty',
    'Nothing matches "x"',
    'ContentHash == ""',
    'CreateIndex == 1',
    'LocallyRegisteredAsSidecar == false',
    'EnterpriseMeta == x',
    'Datacenter == dc1',
  ),
  'values that do not fit': leaves(
    'Port == x',
    'Port == 80.5',
    'Port == -1',
    'Port == 99999999999999999999',
    'Port == 0x50',
    'EnableTagOverride == maybe',
    'EnableTagOverride == 1',
    'EnableTagOverride == T',
    'v1 in Port',
    'Port contains 8',
    'Weights.Passing == many',
  ),
  'expressions that do not parse': leaves(
    'Service',
    'Service ==',
    '== web',
    'Service == web and',
    'Service == web or or Port == 1',
    '(Service == web',
    'Service == web)',
    'Service = web',
    'Service === web',
    'Service == web Port == 80',
    'Service == "web',
    "Service == 'web'",
    'Service < web',
    'Service is',
    'Service is nothing',
    'not',
    '()',
    'Service in',
    'Meta[env] == prod',
    'Meta["env" == prod',
    'Meta. == x',
    '"unclosed in Tags',
    '$',
    'Service == web;',
    'Service notin Tags',
    '!Service',
    'Service == web\nand Port == 80',
  ),
  'an empty expression, and one of blanks': leaves('', ' '),
  'escapes and odd letters': leaves(
    'Service == "w\\u0065b"',
    'Service == "w\\x65b"',
    'Service == "\\"web\\""',
    'Service == `w\\x65b`',
    'Service == "wéb"',
    'Service == ""',
    'Service == and',
    'Service == not',
    'Service == in',
    'Service == web-1',
    'ID == web-1',
    'ID == web_1',
    'Service == a/b',
    'Service == a:b',
  ),
  'instances by node, service and checks': leavesInstances(
    'Node.Node == a',
    'Node.Meta.name == b',
    'Node.Meta.os == linux',
    'Node.Address == "10.0.0.97"',
    'Node.TaggedAddresses.lan == "10.1.1.1"',
    'Node.Datacenter == dc1',
    'Node.ID == ""',
    'Service.ID == "db-b"',
    'Service.Port == 99',
    'x in Service.Tags',
    'Service.Tags contains y',
    'Service.Tags is empty',
    'Service.Meta.a == yes',
    'Checks.Status == warning',
    'Checks.Status != passing',
    'Checks.Status == passing',
    'Checks.Output matches "critical$"',
    'Checks.CheckID == alive',
    'Checks is empty',
    'Checks is not empty',
    'not Checks.Status == critical',
    'Checks.ServiceTags contains x',
    'Checks.Definition.TCP == ""',
    'Checks.Name == db and Checks.Status == warning',
    'Node == a',
    'Checks == a',
    'Service.Weights.Passing == 1',
    'Node.Nothing == 1',
    'Checks.Nothing == 1',
  ),
  'catalog entries by their own fields': async (api) => {
    await services(api)
    for (const expression of [
      'ServiceName == web',
      'ServiceID == "web-1"',
      'ServicePort == 80',
      'v1 in ServiceTags',
      'ServiceMeta.env == prod',
      'ServiceAddress == "10.0.0.1"',
      'ServiceEnableTagOverride == true',
      'ServiceWeights.Passing == 5',
      'ServiceTaggedAddresses.lan.Port == 80',
      'Node == harbour',
      'Address == "127.0.0.1"',
      'Datacenter == dc1',
      'NodeMeta is empty',
      'TaggedAddresses.lan == "127.0.0.1"',
      'ServiceKind == ""',
      'ServiceConnect.Native == false',
      'ServiceProxy.DestinationServiceName == ""',
      'Service == web',
      'ServiceNothing == 1',
      'CreateIndex == 1',
    ]) {
      const { status, text } = await api.peek(
        `/v1/catalog/service/web?filter=${encodeURIComponent(expression)}`,
      )
      api.note(expression, status === 200 ? (JSON.parse(text) as unknown[]).length : `${status} ${text}`)
    }
  },
  'checks by their fields': async (api) => {
    await api.put('/v1/agent/service/register', {
      Name: 'web',
      Tags: ['t'],
      Check: { TTL: '1h', Status: 'warning', Notes: 'n' },
    })
    for (const expression of [
      'Node == harbour',
      'CheckID == "service:web"',
      'Name == "Service \'web\' check"',
      'Status == warning',
      'Notes == n',
      'Output == ""',
      'ServiceID == web',
      'ServiceName == web',
      't in ServiceTags',
      'ServiceTags is empty',
      'Type == ttl',
      'Definition.TTL == 1h',
      'Definition.HTTP is empty',
      'Definition.Interval == 0',
      'Definition.Interval == "0s"',
      'Definition.TLSSkipVerify == false',
      'Definition.Header is empty',
      'Nothing == 1',
    ]) {
      const path = `/v1/agent/checks?filter=${encodeURIComponent(expression)}`
      const { status, text } = await api.peek(path)
      api.note(expression, status === 200 ? Object.keys(JSON.parse(text)) : `${status} ${text}`)
    }
  },
  'nodes by their fields': async (api) => {
    await api.put('/v1/catalog/register', {
      Node: 'rock',
      Address: '10.9.0.1',
      NodeMeta: { rack: 'r1' },
      TaggedAddresses: { wan: '198.51.100.1' },
    })
    for (const expression of [
      'Node == rock',
      'Address == "10.9.0.1"',
      'Meta.rack == r1',
      'Meta is empty',
      'rack in Meta',
      'TaggedAddresses.wan == "198.51.100.1"',
      'Datacenter == dc1',
      'ID == ""',
      'Nothing == 1',
    ]) {
      const path = `/v1/catalog/nodes?filter=${encodeURIComponent(expression)}`
      const { status, text } = await api.peek(path)
      const names = () => (JSON.parse(text) as { Node: string }[]).map(({ Node }) => Node)
      api.note(expression, status === 200 ? names() : `${status} ${text}`)
    }
  },
}
