import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, type Run, type RunningServer, seamark, start, startServer } from './seamark.ts'

let server: RunningServer

beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server[Symbol.asyncDispose]())

function ask(...words: string[]): Promise<Ended> {
  return seamark(words, { environment: { SEAMARK_URL: server.url } })
}

function watch(...words: string[]): Run {
  return start(['watch', ...words], { environment: { SEAMARK_URL: server.url } })
}

/** The lines of a watch as documents, but for what is of no interest here. */
function changes({ stdout }: Ended) {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map(({ change, service, id, before, instance }) => ({
      change,
      service,
      id,
      before,
      port: instance?.port,
    }))
}

describe('seamark watch', () => {
  it('prints what is there, and then what changes, until Ctrl-C', async () => {
    const among = ['--namespace', 'people']
    await ask('register', 'api', '--port', '3000', '--id', 'a1', ...among)
    await using watching = watch(...among)
    await watching.prints(/^TIME +CHANGE +INSTANCE +ADDRESS +HEALTH$/m)
    await watching.prints(/^\d\d:\d\d:\d\d {2}present {5}people\/api\/a1 +127\.0\.0\.1:3000 +passing$/m)
    await ask('register', 'www', '--port', '8080', '--id', 'w1', ...among)
    await watching.prints(/^\S+ {2}registered {2}people\/www\/w1 +127\.0\.0\.1:8080 +passing$/m)
    await ask('register', 'www', '--port', '8081', '--id', 'w1', ...among)
    await watching.prints(/^\S+ {2}updated {5}people\/www\/w1 +127\.0\.0\.1:8081 +passing$/m)
    await ask('maintenance', 'api', 'a1', '--enable', '--reason', 'new disk', ...among)
    await watching.prints(
      /^\S+ {2}health {6}people\/api\/a1 +127\.0\.0\.1:3000 +passing → maintenance \(maintenance: new disk\)$/m,
    )
    await ask('deregister', 'api', 'a1', ...among)
    await watching.prints(/^\S+ {2}removed {5}people\/api\/a1 +127\.0\.0\.1:3000$/m)
    watching.process.kill('SIGINT')
    expect(await watching.ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('prints a document for each change of the services asked for', async () => {
    const among = ['--namespace', 'programs']
    await ask('register', 'api', '--port', '3000', '--id', 'a1', ...among)
    await using watching = watch('api', 'www', '--json', ...among)
    await watching.prints(/"change":"present"/)
    await ask('register', 'other', '--port', '1', '--id', 'o1', ...among)
    await ask('register', 'www', '--port', '8080', '--id', 'w1', ...among)
    await watching.prints(/"change":"registered"/)
    await ask('maintenance', 'www', 'w1', '--enable', ...among)
    await watching.prints(/"change":"health"/)
    await ask('deregister', 'www', 'w1', ...among)
    await watching.prints(/"change":"removed"/)
    watching.process.kill('SIGTERM')
    const ended = await watching.ended
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(changes(ended)).toEqual([
      { change: 'present', service: 'api', id: 'a1', port: 3000 },
      { change: 'registered', service: 'www', id: 'w1', port: 8080 },
      { change: 'health', service: 'www', id: 'w1', port: 8080, before: 'passing' },
      { change: 'removed', service: 'www', id: 'w1', port: 8080 },
    ])
  })

  it('sees an instance go whose process was killed', async () => {
    const among = ['--namespace', 'killed']
    await using watching = watch('api', ...among)
    await using process = start(['register', 'api', '--port', '3000', '--ttl', '1s', ...among], {
      environment: { SEAMARK_URL: server.url },
    })
    await watching.prints(/(present {3}|registered) {2}killed\/api\//)
    process.process.kill('SIGKILL')
    await watching.prints(/removed {5}killed\/api\//)
  })

  it('says that the server went away, waits for it, and tells what changed meanwhile', async () => {
    await using first = await startServer()
    const environment = { SEAMARK_URL: first.url }
    await seamark(['register', 'api', '--port', '3000', '--id', 'a1'], { environment })
    await using watching = start(['watch'], { environment })
    await watching.prints(/present {5}api\/a1/)
    first.process.kill('SIGKILL')
    await watching.remarks(/The server is away, and waited for/)
    await using _ = start(['server', '--engine', 'memory:', '--port', `${first.port}`])
    await watching.remarks(/The server answers\./)
    await watching.prints(/removed {5}api\/a1/)
    await seamark(['register', 'api', '--port', '3001', '--id', 'a2'], { environment })
    await watching.prints(/registered {2}api\/a2/)
  })

  it('ends quietly when its reader has enough', async () => {
    const among = ['--namespace', 'pipe']
    await using watching = watch('--json', ...among)
    await ask('register', 'api', '--port', '1', '--id', 'a1', ...among)
    await watching.prints(/a1/)
    watching.process.stdout!.destroy()
    await once(watching.process.stdout!, 'close')
    await ask('deregister', 'a1', ...among)
    expect(await watching.ended).toMatchObject({ code: 0, stderr: '' })
  })
})
