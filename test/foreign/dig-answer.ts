import { command } from './command.ts'

/** What dig understood of an answer. */
export interface DigAnswer {
  readonly status: string
  readonly flags: readonly string[]
  /** The name as it came back. */
  readonly question: string
  /** Records, as `web.service.consul. 0 A 127.0.0.2`; in their order. */
  readonly answer: readonly string[]
  readonly authority: readonly string[]
  readonly additional: readonly string[]
  /** The octets of the answer. */
  readonly size: number
  /** What it complains of, such as malformed packets. */
  readonly warnings: readonly string[]
}

/** What is as it should be. */
const usual = /recursion requested but not available|reserved for Multicast DNS/

/** Asks that port with dig, in its words. */
export async function dig(port: number, ...words: readonly string[]): Promise<DigAnswer> {
  const fixed = ['@127.0.0.1', '-p', String(port), '+time=2', '+tries=1', '+nocookie']
  await using digging = command('dig', [...fixed, ...words], {
    environment: { HOME: '/nonexistent', IDN_DISABLE: '1' },
  })
  const { code, stdout, stderr } = await digging.ended
  if (code !== 0 || stderr !== '') throw new Error(`dig ${words.join(' ')} failed:\n${stdout}${stderr}`)
  const section = (name: string) => {
    const [, lines = ''] =
      new RegExp(`^;; ${name} SECTION:\\n([^\\n]+(?:\\n[^\\n]+)*)`, 'm').exec(stdout) ?? []
    return lines.split('\n').filter((line) => line !== '')
  }
  const records = (name: string) => section(name).map(record)
  return {
    status: one(stdout, /status: (\w+)/),
    flags: one(stdout, /^;; flags: ([^;]*);/m)
      .trim()
      .split(' '),
    question: one(section('QUESTION').join('\n'), /^;(\S+)\s/),
    answer: records('ANSWER'),
    authority: records('AUTHORITY'),
    additional: records('ADDITIONAL'),
    size: Number(one(stdout, /MSG SIZE {2}rcvd: (\d+)/)),
    warnings: (stdout.match(/^;; warning: .*$/gim) ?? []).filter((text) => !usual.test(text)),
  }
}

/** `name  ttl  IN  type  data`, with one blank between, and without the class. */
function record(line: string): string {
  const [name, ttl, , ...rest] = line.split(/\s+/)
  return [name, ttl, ...rest].join(' ')
}

function one(text: string, pattern: RegExp): string {
  const [, found] = pattern.exec(text) ?? []
  if (found === undefined) throw new Error(`${pattern} is not in what dig printed:\n${text}`)
  return found
}
