import type { Dispatcher } from 'undici'
import { endpoint } from '../endpoint.ts'
import { type Destination, Destinations, type RequestOptions, type TrafficSource } from './destinations.ts'
import { Exchange, type ExchangeSetting } from './exchange.ts'
import { dispatchHandler, nativeHandler } from './native-handler.ts'
import type { Carrier } from './pools.ts'
import { forwarded } from './readdressed.ts'

export type InterceptorOptions = RequestOptions

/** Lets a dispatcher carry each try. */
export function carrier(dispatch: Dispatcher.Dispatch): Carrier {
  return {
    failure: undefined,
    carry(entry, _, options, headers, handler) {
      const { origin } = endpoint(entry)
      dispatch(forwarded(options, origin, headers), dispatchHandler(handler))
    },
  }
}

/**
 * An interceptor for undici, `new Agent().compose(interceptor(discovery))`: a request to `http://api.seamark/` goes to an instance of
 * `api`; to another one, when the first fails and the request may be repeated. All other requests pass. Ports in such URLs make
 * no difference: the registry knows them. Connections are those of the dispatcher that it is composed with: `dispatcher()`
 * has its own, and is faster. Throws `invalid_field`.
 */
export function interceptor(
  source: TrafficSource,
  options?: InterceptorOptions,
): Dispatcher.DispatcherComposeInterceptor {
  const destinations = new Destinations(source, options)
  return (dispatch) => {
    const setting: ExchangeSetting = {
      ...destinations.setting,
      carrier: carrier(dispatch),
      ended: undefined,
    }
    return (request, handler) => {
      const native = nativeHandler(handler)
      let destination: Destination | null
      try {
        destination = destinations.find(request.origin)
      } catch (error) {
        native.onError(error as Error)
        return false
      }
      if (destination === null) return dispatch(request, handler)
      const { service } = destination
      const exchange = new Exchange(setting, destinations.errand(destination, request), request, native)
      if (service.isKnown) exchange.begin()
      else exchange.beginAfter(service.known())
      return true
    }
  }
}
