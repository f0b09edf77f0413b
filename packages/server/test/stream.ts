import { type ClientRequest, get, type IncomingMessage } from 'node:http'

export interface StreamEvent {
  readonly event: string
  readonly id: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly data: any
}

/** A reader of `/api/v1/watch` that can stop reading. */
export interface Stream extends Disposable {
  readonly status: number
  /** All comments received so far. */
  readonly comments: readonly string[]
  /** The next batch: its events, with `applied` at the end. `undefined` when the stream has ended. */
  batch(): Promise<readonly StreamEvent[] | undefined>
  pause(): void
  resume(): void
}

export async function stream(url: string, headers: Record<string, string> = {}): Promise<Stream> {
  const request = get(url, { headers, agent: false })
  const response = await answered(request)
  const batches: StreamEvent[][] = [[]]
  const comments: string[] = []
  let rest = ''
  let ended = false
  let wake = () => {}
  response.setEncoding('utf8')
  response.on('data', (text: string) => {
    const blocks = (rest + text).split('\n\n')
    rest = blocks.pop()!
    for (const block of blocks) {
      if (block.startsWith(':')) comments.push(block)
      else if (!block.startsWith('retry:')) {
        const event = parse(block)
        batches.at(-1)!.push(event)
        if (event.event === 'applied') batches.push([])
      }
    }
    wake()
  })
  const end = () => {
    ended = true
    wake()
  }
  response.on('close', end)
  response.on('error', end)
  request.on('error', end)
  return {
    status: response.statusCode!,
    comments,
    async batch() {
      while (batches.length < 2 && !ended)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      return batches.length < 2 ? undefined : batches.shift()
    },
    pause: () => response.pause(),
    resume: () => response.resume(),
    [Symbol.dispose]: () => request.destroy(),
  }
}

function answered(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.once('error', reject)
  })
}

function parse(block: string): StreamEvent {
  const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]))
  return { event: fields.get('event')!, id: fields.get('id'), data: JSON.parse(fields.get('data')!) }
}
