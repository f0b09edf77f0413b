import { displayName, invalidField } from '@seamark/core'
import { type Dispatcher, fetch, type RequestInit, type Response } from 'undici'
import type { Filter, Service } from '../service.ts'
import { absence } from './destinations.ts'
import { type Errand, Exchange } from './exchange.ts'
import { carrier } from './interceptor.ts'
import { nativeHandler } from './native-handler.ts'
import type { ServiceDispatcher } from './service-dispatcher.ts'
import { wholeBody } from './whole-body.ts'

/**
 * As `fetch`, of one service: its instances see their own addresses as the host. Through `init.dispatcher`, if there is one.
 * Redirects to other origins are followed there.
 */
export async function serviceFetch(
  own: ServiceDispatcher,
  service: Service,
  path: string,
  init: RequestInit,
  filter: Filter | undefined,
): Promise<Response> {
  if (!path.startsWith('/')) throw invalidField('path', 'must begin with "/"')
  if (!service.isKnown) await service.known()
  const { destinations } = own
  const origin = destinations.origin(service)
  const errand: Errand = {
    traffic: destinations.traffic(service),
    authority: undefined,
    name: displayName(service.key),
    wish: { filter },
    absence: () => absence(service, filter),
  }
  let first = errand.traffic.choose(errand.wish)
  if (first === undefined) throw errand.absence()
  const toService: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) => {
    if (options.origin !== origin) return dispatch(options, handler)
    const entry = first
    first = undefined
    const native = nativeHandler(handler)
    if (init.dispatcher === undefined) return own.send(errand, options, native, entry)
    const setting = { ...destinations.setting, carrier: carrier(dispatch), ended: undefined }
    new Exchange(setting, errand, options, native).begin(entry)
    return true
  }
  const whole = wholeBody(init)
  const dispatcher = (init.dispatcher ?? own).compose(whole === undefined ? [toService] : [toService, whole])
  return fetch(origin + path, { ...init, dispatcher })
}
