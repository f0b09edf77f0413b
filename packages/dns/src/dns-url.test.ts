import { isSeamarkError } from '@seamark/core'
import { expect, test } from 'vitest'
import { open } from './dns-source.ts'
import { dnsUrl, resolverAddress } from './dns-url.ts'

test.each([
  ['dns://10.0.0.2', { resolvers: ['10.0.0.2'] }],
  ['dns://10.0.0.2/', { resolvers: ['10.0.0.2'] }],
  ['dns:///local', { resolvers: [], name: 'local' }],
  ['dns://10.0.0.2/local', { resolvers: ['10.0.0.2'], name: 'local' }],
  ['dns://a,b:5353,[::1]:53/local', { resolvers: ['a', 'b:5353', '[::1]:53'], name: 'local' }],
  ['dns://a/{service}.service.consul', { resolvers: ['a'], name: '{service}.service.consul' }],
  ['dns://a/%7Bservice%7D.service.consul', { resolvers: ['a'], name: '{service}.service.consul' }],
  [
    'dns://a/x?srv=_http._tcp&scheme=grpc&port=8080&minTtl=2s&maxTtl=5m&timeout=500ms',
    {
      resolvers: ['a'],
      name: 'x',
      srv: '_http._tcp',
      scheme: 'grpc',
      port: 8080,
      minTtl: '2s',
      maxTtl: '5m',
      timeout: '500ms',
    },
  ],
])('%s', (url, expected) => {
  expect(dnsUrl(url)).toEqual(expected)
})

test.each([
  ['dns:local', 'must look like'],
  ['dns:/local', 'must look like'],
  ['dns://a/local#there', 'must look like'],
  ['dns://a/b/c', 'more than one part'],
  ['dns://a/%zz', 'not well-formed'],
  ['dns://user@a/local', '"user@a" is no DNS server'],
  ['dns://a:0/local', '"a:0" is no DNS server'],
  ['dns://a:99999/local', '"a:99999" is no DNS server'],
  ['dns://a,/local', '"" is no DNS server'],
  ['dns://::1/local?prot=1', '"prot" is no parameter'],
  ['dns://a?port=1&port=2', 'port is there twice'],
  ['dns://a?srv=', 'srv is empty'],
  ['dns://a?port=x', 'port must be a number'],
  ['dns://a?port=0', 'port must be a whole number from 1'],
  ['dns://a?port=70000', 'port must be a whole number'],
  ['dns://a?scheme=HTTP', 'scheme must be'],
  ['dns://a?minTtl=soon', 'minTtl must be'],
  ['dns://a?minTtl=0', 'minTtl'],
  ['dns://a?minTtl=2m', 'minTtl must not be more than maxTtl'],
  ['dns://a?maxTtl=999h', 'maxTtl must not be more than a day'],
  ['dns://a?transport=tls', 'transport must be udp or tcp'],
  ['dns://a/a b', 'makes no name of DNS'],
  ['dns://a/{name}.local', 'makes no name of DNS'],
])('%s is refused: %s', async (url, problem) => {
  const error: unknown = await open(url).catch((error) => error)
  expect(isSeamarkError(error, 'configuration') && error.message).toContain(problem)
})

test.each([
  ['10.0.0.2', { host: '10.0.0.2', port: 53 }],
  ['10.0.0.2:5353', { host: '10.0.0.2', port: 5353 }],
  ['[::1]', { host: '::1', port: 53 }],
  ['[::1]:5353', { host: '::1', port: 5353 }],
  ['fe80::1%eth0', { host: 'fe80::1%eth0', port: 53 }],
  ['kube-dns.kube-system', { host: 'kube-dns.kube-system', port: 53 }],
])('the server %s', (text, expected) => {
  expect(resolverAddress(text)).toEqual(expected)
})
