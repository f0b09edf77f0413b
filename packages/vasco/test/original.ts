import { Redis } from 'ioredis'

/** Speaks to Redis in exactly the commands of vasco 1.0.3, one step at a time: what it does after a while, a test says. */
export class Original implements Disposable {
  readonly redis: Redis

  constructor(port: number) {
    this.redis = new Redis(port, '127.0.0.1')
  }

  async register(url: string, service: string, aliveDuration = 10): Promise<void> {
    await this.redis.sadd(`endpoints.${service}`, url)
    await this.renew(url, service, aliveDuration)
  }

  /** What it does each `aliveDuration` seconds, when the key has just expired. */
  async renew(url: string, service: string, aliveDuration = 10): Promise<void> {
    await this.redis.set(`alive.${url}`, service, 'EX', aliveDuration)
  }

  /** Without end where the original's is. */
  async find(service: string): Promise<string | undefined> {
    for (;;) {
      const url = await this.redis.srandmember(`endpoints.${service}`)
      if (url === null) return undefined
      const alive = await this.redis.get(`alive.${url}`)
      if (alive === service) return url
      if (alive === null) await this.redis.srem(`endpoints.${service}`, url)
    }
  }

  [Symbol.dispose](): void {
    this.redis.disconnect()
  }
}
