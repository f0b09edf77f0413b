import { SeamarkError } from '@seamark/core'
import type { HostContext, HostedService } from './hosted-service.ts'

type Hook = (context: HostContext) => unknown
type Moment = 'start' | 'stop'
type HookDecorator = <This extends object>(
  method: (this: This, context: HostContext) => unknown,
  context: ClassMethodDecoratorContext<This>,
) => void

/** What classes are announced as. */
const definitions = new WeakMap<object, HostedService>()

/** The hooks of an object, by moment and by the method's name, so that one that is overridden is called once. */
const hooks = new WeakMap<object, Record<Moment, Map<unknown, Hook>>>()

/** The objects of this class are a service of that name, and are announced with these options. */
export function Service(name: string, options: Omit<HostedService, 'name' | 'start' | 'stop'> = {}) {
  return (target: abstract new (...args: never[]) => object, _context: ClassDecoratorContext): void => {
    definitions.set(target, { ...options, name })
  }
}

/** The method is called before the service is announced. Several are called in the order in which they are written. */
export function Start(): HookDecorator {
  return hook('start')
}

/** The method is called after the service was deregistered. */
export function Stop(): HookDecorator {
  return hook('stop')
}

function hook(moment: Moment): HookDecorator {
  return (_method, context) => {
    if (context.static)
      throw new SeamarkError(
        'configuration',
        `${String(context.name)} is static, and would never be called: objects are hosted, not classes.`,
      )
    context.addInitializer(function () {
      const own = hooks.get(this) ?? { start: new Map(), stop: new Map() }
      hooks.set(this, own)
      // Private names of different classes are different methods, though they are spelt alike.
      const key = context.private ? context : context.name
      own[moment].set(key, (given: HostContext) => context.access.get(this).call(this, given))
    })
  }
}

/** An object of a class with `@Service` as a service; `undefined` for any other. */
export function decorated(object: object): HostedService | undefined {
  for (
    let target: object | null = object.constructor;
    target !== null;
    target = Object.getPrototypeOf(target)
  ) {
    const definition = definitions.get(target)
    if (definition === undefined) continue
    const own = hooks.get(object)
    const all = (moment: Moment) => async (context: HostContext) => {
      for (const call of own?.[moment].values() ?? []) await call(context)
    }
    return { ...definition, start: all('start'), stop: all('stop') }
  }
  return undefined
}
