import type { Inquiry } from '@seamark/gateway'

/** A request for `GET http://shop.example/tickets/7`, unless told otherwise. */
export function inquiry(given: Partial<Omit<Inquiry, 'header'>> = {}): Inquiry {
  const { headers = {} } = given
  return {
    method: 'GET',
    scheme: 'http',
    host: 'shop.example',
    path: '/tickets/7',
    query: '',
    headers: {},
    client: '192.0.2.1',
    ...given,
    header: (name) => headers[name]?.toString(),
  }
}
