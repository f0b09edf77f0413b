import type { ConsulCheck } from './check.ts'
import type { ConsulNode } from './node.ts'
import type { ConsulService } from './service.ts'
import { sorted } from './sorted.ts'

// The shapes in which Consul 1.8 prints what it knows: what is absent, empty and null differs from one to the next.

const plainProxy = { MeshGateway: {}, Expose: {} }

export function nodeJson(node: ConsulNode, datacenter: string) {
  return {
    ID: node.id,
    Node: node.name,
    Address: node.address,
    Datacenter: datacenter,
    TaggedAddresses: node.taggedAddresses,
    Meta: node.meta,
    CreateIndex: node.createIndex,
    ModifyIndex: node.modifyIndex,
  }
}

/** A service on a node, as the catalog's and health's answers hold it. */
export function serviceJson(service: ConsulService) {
  return {
    ...(service.kind !== '' && { Kind: service.kind }),
    ID: service.id,
    Service: service.name,
    Tags: service.tags,
    Address: service.address,
    ...(service.taggedAddresses && { TaggedAddresses: service.taggedAddresses }),
    Meta: service.meta && sorted(service.meta),
    Port: service.port,
    Weights: service.weights,
    EnableTagOverride: service.enableTagOverride,
    Proxy: service.proxy ?? plainProxy,
    Connect: service.connect ?? {},
    CreateIndex: service.createIndex,
    ModifyIndex: service.modifyIndex,
  }
}

/** A service with its node, as `/v1/catalog/service` lists it. */
export function catalogServiceJson(service: ConsulService, datacenter: string) {
  const { node } = service
  return {
    ID: node.id,
    Node: node.name,
    Address: node.address,
    Datacenter: datacenter,
    TaggedAddresses: node.taggedAddresses,
    NodeMeta: node.meta,
    ServiceKind: service.kind,
    ServiceID: service.id,
    ServiceName: service.name,
    ServiceTags: service.tags,
    ServiceAddress: service.address,
    ...(service.taggedAddresses && { ServiceTaggedAddresses: service.taggedAddresses }),
    ServiceWeights: service.weights,
    ServiceMeta: sorted(service.meta ?? {}),
    ServicePort: service.port,
    ServiceEnableTagOverride: service.enableTagOverride,
    ServiceProxy: service.proxy ?? plainProxy,
    ServiceConnect: service.connect ?? {},
    CreateIndex: service.createIndex,
    ModifyIndex: service.modifyIndex,
  }
}

/** A service as its agent shows it. */
export function agentServiceJson(service: ConsulService) {
  return {
    ...(service.kind !== '' && { Kind: service.kind }),
    ID: service.id,
    Service: service.name,
    Tags: service.tags,
    Meta: sorted(service.meta ?? {}),
    Port: service.port,
    Address: service.address,
    ...(service.taggedAddresses && { TaggedAddresses: service.taggedAddresses }),
    Weights: service.weights,
    EnableTagOverride: service.enableTagOverride,
    ...(service.proxy && { Proxy: service.proxy }),
    ...(service.connect && Object.keys(service.connect).length > 0 && { Connect: service.connect }),
  }
}

export function checkJson(check: ConsulCheck) {
  return {
    Node: check.node,
    CheckID: check.id,
    Name: check.name,
    Status: check.status,
    Notes: check.notes,
    Output: check.output,
    ServiceID: check.serviceId,
    ServiceName: check.serviceName,
    ServiceTags: check.serviceTags,
    Type: check.type,
    Definition: check.definition,
    CreateIndex: check.createIndex,
    ModifyIndex: check.modifyIndex,
  }
}

/** A check as its agent shows it: the agent knows no indexes. */
export function agentCheckJson(check: ConsulCheck) {
  return { ...checkJson(check), CreateIndex: 0, ModifyIndex: 0 }
}

const emptyDefinition = {
  HTTP: '',
  Header: null,
  Method: '',
  Body: '',
  TLSSkipVerify: false,
  TCP: '',
  Interval: '0s',
  Timeout: '0s',
  DeregisterCriticalServiceAfter: '0s',
}

/** A check as `/v1/agent/health` shows it, which is in yet another way. */
export function agentHealthCheckJson(check: ConsulCheck) {
  return { ...agentCheckJson(check), ServiceTags: null, Type: '', Definition: emptyDefinition }
}

/** Where the answers of health and the catalog have an empty list, those of queries and of Consul's pages have `null`. */
export function withoutEmptyTags<T extends { readonly [K in N]: readonly string[] }, N extends string>(
  json: T,
  name: N,
) {
  return json[name].length === 0 ? { ...json, [name]: null } : json
}
