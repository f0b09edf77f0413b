import { jsonAnswer } from './answer.ts'
import type { Endpoints } from './endpoint.ts'
import { filterFor } from './filter/filter.ts'
import { shapes } from './filter/shape.ts'
import { catalogServiceJson, nodeJson, serviceJson } from './json.ts'
import { named, namespaceOf, nodeFilter, readAnswer, tagFilter } from './reads.ts'
import type { ConsulService } from './service.ts'
import { sorted } from './sorted.ts'
import { listTopic, serviceTopic } from './view.ts'

/** What is registered: nodes and services, without their health. */
export const catalog: Endpoints = (context) => {
  const { view, settings } = context
  const { datacenter } = settings

  /** A node and what is on it. */
  const onNode = (
    print: (services: readonly ConsulService[], filtered: boolean) => unknown,
    nobody: unknown,
  ) =>
    ({
      methods: ['GET'],
      answer(ask) {
        const name = named(ask.rest, 'Missing node name')
        const namespace = namespaceOf(ask)
        const filter = filterFor(ask.get('filter'), shapes.service)
        return readAnswer(context, ask, {
          topics: [listTopic('node')],
          look: () => view.nodeServices(namespace, view.nodes.find(name)?.name ?? name),
          print: ([node, ...services]) => {
            if (node === undefined) return nobody
            const found = (services as ConsulService[]).filter((service) => filter(serviceJson(service)))
            return {
              Node: nodeJson(node as Parameters<typeof nodeJson>[0], datacenter),
              Services: print(found, ask.get('filter') !== ''),
            }
          },
        })
      },
    }) as const satisfies Omit<ReturnType<Endpoints>[number], 'path'>

  /** The instances of a service. */
  const ofService = (find: (namespace: string, name: string) => ReturnType<typeof view.connect>) =>
    ({
      methods: ['GET'],
      answer(ask) {
        const service = named(ask.rest, 'Missing service name')
        const namespace = namespaceOf(ask)
        const filter = filterFor(ask.get('filter'), shapes.serviceOnNode)
        const [nodes, tags] = [nodeFilter(ask), tagFilter(ask)]
        return readAnswer(context, ask, {
          topics: [serviceTopic({ namespace, service }), listTopic('connect')],
          look: () => find(namespace, service),
          print: (services) =>
            services
              .filter((service) => nodes(service.node) && tags(service.tags))
              .map((service) => catalogServiceJson(service, datacenter))
              .filter(filter),
        })
      },
    }) as const satisfies Omit<ReturnType<Endpoints>[number], 'path'>

  return [
    {
      path: '/v1/catalog/datacenters',
      methods: ['GET'],
      answer: (ask) => jsonAnswer(ask, [datacenter], ask.has('cached') ? { 'X-Cache': 'HIT', Age: '0' } : {}),
    },
    {
      path: '/v1/catalog/nodes',
      methods: ['GET'],
      answer(ask) {
        const filter = filterFor(ask.get('filter'), shapes.node)
        const nodes = nodeFilter(ask)
        return readAnswer(context, ask, {
          cacheable: false,
          topics: [listTopic('nodes')],
          look: () => view.nodesSeen(),
          print: (all) =>
            all
              .filter(nodes)
              .map((node) => nodeJson(node, datacenter))
              .filter(filter),
        })
      },
    },
    {
      path: '/v1/catalog/services',
      methods: ['GET'],
      answer(ask) {
        const namespace = namespaceOf(ask)
        const nodes = ask.has('node-meta') ? nodeFilter(ask) : undefined
        return readAnswer(context, ask, {
          topics: [listTopic('services')],
          look: () => view.services(namespace),
          print: (services) => {
            if (nodes === undefined)
              return sorted(Object.fromEntries(services.map(({ name, tags }) => [name, tags])))
            const found = new Map<string, Set<string>>()
            for (const { name, tags, node } of view.all(namespace))
              if (nodes(node)) found.set(name, new Set([...(found.get(name) ?? []), ...tags]))
            return sorted(Object.fromEntries([...found].map(([name, tags]) => [name, [...tags].sort()])))
          },
        })
      },
    },
    {
      path: '/v1/catalog/service/',
      ...ofService((namespace, service) => {
        const { index, services } = view.service({ namespace, service })
        return { index, value: services }
      }),
    },
    { path: '/v1/catalog/connect/', ...ofService((namespace, service) => view.connect(namespace, service)) },
    {
      path: '/v1/catalog/node/',
      ...onNode(
        (services) => Object.fromEntries(services.map((service) => [service.id, serviceJson(service)])),
        null,
      ),
    },
    {
      path: '/v1/catalog/node-services/',
      ...onNode(
        (services, filtered) => (services.length === 0 && !filtered ? null : services.map(serviceJson)),
        { Node: null, Services: null },
      ),
    },
    {
      path: '/v1/catalog/gateway-services/',
      methods: ['GET'],
      answer: (ask) =>
        readAnswer(context, ask, {
          topics: [],
          look: () => ({ index: 1, value: null }),
          print: (value) => value,
        }),
    },
  ]
}
