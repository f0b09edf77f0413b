import type { Exchange, Step } from './api.ts'

/** The ports of a server: of its HTTP API, of the service `consul`, of its members. */
export type Ports = readonly number[]

/** Headers that say nothing of Consul. */
const unsaid = new Set(['date', 'content-length', 'connection', 'keep-alive', 'transfer-encoding'])

const uuid = /\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g

const indexes = new Set(['CreateIndex', 'ModifyIndex'])

/** Prints steps to be read and compared: keys sorted; ids, indexes and ports named. */
export function transcript(steps: readonly Step[], ports: Ports): string {
  const text = steps.map((step) => print(step, ports)).join('\n')
  return withoutPorts(named(text), ports)
}

function print(step: Step, ports: Ports): string {
  if ('note' in step) return `# ${step.note}: ${JSON.stringify(step.value)}\n`
  const { method, path, requestHeaders, requestBody, answer } = step
  const lines = [`> ${method} ${path}`]
  for (const [name, value] of Object.entries(requestHeaders)) lines.push(`> ${name}: ${value}`)
  if (requestBody !== undefined) lines.push(`> ${requestBody}`)
  const headers = Object.entries(answer.headers)
    .filter(([name]) => !unsaid.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}: ${headerValue(name, String(value))}`)
  lines.push(`< ${[answer.status, ...headers].join(' | ')}`)
  const body = bodyText(step, ports)
  if (body !== '') lines.push(...body.split('\n').map((line) => `  ${line}`))
  return `${lines.join('\n')}\n`
}

function headerValue(name: string, value: string): string {
  if (name === 'x-consul-index') return indexName(value)
  return value
}

function indexName(value: unknown): string {
  return /^[1-9]\d*$/.test(String(value)) ? '<index>' : `${value}, which is no index`
}

function bodyText({ answer, unordered }: Exchange, ports: Ports): string {
  const { text, headers } = answer
  if (!String(headers['content-type']).startsWith('application/json')) return text
  try {
    return layout(canonical(JSON.parse(withoutPorts(text, ports)), unordered))
  } catch {
    return `not JSON: ${text}`
  }
}

/** With its keys sorted, its indexes named, and, if it has no order, its lists sorted. */
function canonical(value: unknown, unordered: boolean): unknown {
  if (Array.isArray(value)) {
    const elements = value.map((element) => canonical(element, unordered))
    if (!unordered) return elements
    const order = (element: unknown) => JSON.stringify(element).replaceAll(uuid, '')
    return elements.sort((a, b) => (order(a) < order(b) ? -1 : 1))
  }
  if (typeof value !== 'object' || value === null) return value
  const object = value as Readonly<Record<string, unknown>>
  const { CreateIndex: created, ModifyIndex: modified } = object
  return Object.fromEntries(
    Object.keys(object)
      .sort()
      .map((key) => {
        const inner = object[key]
        if (key === 'LTime' && inner !== 0) return [key, '<time>']
        if (!indexes.has(key)) return [key, canonical(inner, unordered)]
        if (Number(created) > Number(modified)) return [key, `${inner}, created after it was modified`]
        // Where Consul's structure has the field, but never sets it, it is 0.
        return [key, inner === 0 ? 0 : indexName(inner)]
      }),
  )
}

const width = 110

/** JSON with what fits on a line on one. */
function layout(value: unknown, indent = ''): string {
  const line = JSON.stringify(value)
  if (typeof value !== 'object' || value === null || indent.length + line.length <= width) return line
  const inner = `${indent}  `
  const parts = Array.isArray(value)
    ? value.map((element) => layout(element, inner))
    : Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}:${layout(part, inner)}`)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  return `${open}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close}`
}

function named(text: string): string {
  const ids = new Map<string, string>()
  return text
    .replaceAll(uuid, (id) => {
      const name = ids.get(id) ?? `<id ${ids.size + 1}>`
      ids.set(id, name)
      return name
    })
    .replaceAll(/([?&](?:index|cas)=|"Index":|modify index )\d{2,}/g, '$1<index>')
    .replaceAll(/(contenthash: |"ContentHash":")[0-9a-f]+/g, '$1<hash>')
}

function withoutPorts(text: string, ports: Ports): string {
  const port = `(?:${ports.join('|')})`
  return text
    .replaceAll(new RegExp(`(":\\s*)${port}\\b`, 'g'), '$1"<port>"')
    .replaceAll(new RegExp(`\\b${port}\\b`, 'g'), '<port>')
}
