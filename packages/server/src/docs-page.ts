/** As much of an OpenAPI document as the page shows. */
export interface ApiDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly tags?: readonly { readonly name: string; readonly description?: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> }
}

interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly tags?: readonly string[]
  readonly parameters?: readonly {
    readonly name: string
    readonly in: string
    readonly schema: Schema
    readonly description?: string
  }[]
  readonly requestBody?: { readonly content: Content }
  readonly responses?: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>
}

type Content = Readonly<
  Record<
    string,
    {
      readonly schema: Schema
      readonly examples?: Readonly<Record<string, { readonly value?: unknown }>>
      readonly example?: unknown
    }
  >
>

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly enum?: readonly unknown[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly examples?: readonly unknown[]
}

/** What stands for a path's parameters in the examples. */
const sample: Readonly<Record<string, string>> = {
  namespace: 'default',
  service: 'api',
  id: 'api-1',
  name: 'primary',
}

/** A page to read: all of it is in it, and it fetches nothing. */
export function docsPage(document: ApiDocument): string {
  const { info, tags = [], components } = document
  const sections = tags.map(
    ({ name, description = '' }) =>
      `<section id="${html(name)}"><h2>${html(name)}</h2><p>${prose(description)}</p>${operations(document, name)}</section>`,
  )
  const shapes = Object.entries(components?.schemas ?? {}).map(
    ([name, schema]) => `<h3 id="schema-${html(name)}">${html(name)}</h3>${fieldsOf(schema)}`,
  )
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${html(info.title)} API</title>
<style>${style}</style>
</head>
<body>
<header><h1>${html(info.title)} API <small>${html(info.version)}</small></h1>
<p>${prose(info.description ?? '')} For programs: <a href="openapi.json">openapi.json</a>.</p>
<nav>${tags.map(({ name }) => `<a href="#${html(name)}">${html(name)}</a>`).join(' · ')} · <a href="#shapes">shapes</a></nav></header>
<main>
${sections.join('\n')}
<section id="shapes"><h2>shapes</h2>${shapes.join('\n')}</section>
</main>
</body>
</html>
`
}

function operations({ paths }: ApiDocument, tag: string): string {
  const found: string[] = []
  for (const [path, methods] of Object.entries(paths))
    for (const [method, operation] of Object.entries(methods))
      if (operation.tags?.includes(tag)) found.push(article(method.toUpperCase(), path, operation))
  return found.join('\n')
}

function article(method: string, path: string, operation: Operation): string {
  const { summary = '', description, parameters = [], requestBody, responses = {} } = operation
  const query = parameters.filter((parameter) => parameter.in === 'query')
  const body = requestBody?.content['application/json']?.schema
  return `<article>
<h3><span class="${method.toLowerCase()}">${method}</span> <code>${html(path)}</code></h3>
<p><strong>${html(summary)}.</strong> ${prose(description ?? '')}</p>
${query.length > 0 ? `<h4>Query</h4>${rows(query.map(({ name, schema, description }) => [name, schema, description ?? schema.description, false]))}` : ''}
${body === undefined ? '' : `<h4>Body</h4>${fieldsOf(body)}`}
<h4>Answers</h4><table class="answers">${Object.entries(responses)
    .map(
      ([status, { description, content }]) =>
        `<tr><td><code>${html(status)}</code></td><td>${prose(description)}</td><td>${shape(content?.['application/json']?.schema)}</td></tr>`,
    )
    .join('')}</table>
<pre>${html(curl(method, path, requestBody?.content['application/json']))}</pre>
</article>`
}

function curl(method: string, path: string, body: Content[string] | undefined): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => sample[name] ?? name)
  const url = `http://127.0.0.1:8500${filled}`
  if (path.endsWith('/watch')) return `curl -N '${url}?service=api'`
  const example = body && exampleOf(body)
  return [
    `curl ${method === 'GET' ? '' : `-X ${method} `}'${url}'`,
    ...(example === undefined
      ? []
      : [`  -H 'content-type: application/json'`, `  -d '${JSON.stringify(example)}'`]),
  ].join(' \\\n')
}

/** The generator moves a schema's examples beside it. */
function exampleOf({ schema, example, examples }: Content[string]): unknown {
  return example ?? schema.examples?.[0] ?? Object.values(examples ?? {})[0]?.value
}

function fieldsOf({ properties = {}, required = [] }: Schema): string {
  return rows(
    Object.entries(properties).map(([name, schema]) => [
      name,
      schema,
      schema.description,
      required.includes(name),
    ]),
  )
}

function rows(
  fields: readonly (readonly [
    name: string,
    schema: Schema,
    description: string | undefined,
    required: boolean,
  ])[],
): string {
  const lines = fields.map(([name, schema, description, required]) => {
    const { items } = schema
    // Elements with fields of their own get a table below: in one cell, what is said of each would be lost.
    const element = items?.properties === undefined ? undefined : items
    const type = element === undefined ? shape(schema) : 'list of objects'
    const about = prose(description ?? element?.description ?? '')
    return (
      `<tr><td><code>${html(name)}</code>${required ? '' : ' <i>optional</i>'}</td><td>${type}</td><td>${about}</td></tr>` +
      (element === undefined ? '' : `<tr class="element"><td colspan="3">${fieldsOf(element)}</td></tr>`)
    )
  })
  return `<table class="fields">${lines.join('')}</table>`
}

function shape(schema: Schema | undefined): string {
  if (schema === undefined) return ''
  if (schema.$ref !== undefined) {
    const name = html(schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1))
    return `<a href="#schema-${name}">${name}</a>`
  }
  if (schema.enum !== undefined)
    return schema.enum.map((value) => `<code>${html(String(value))}</code>`).join(' ')
  if (schema.items !== undefined) return `list of ${shape(schema.items)}`
  if (schema.properties !== undefined) {
    const parts = Object.entries(schema.properties).map(
      ([name, part]) => `<code>${html(name)}</code>: ${shape(part)}`,
    )
    return `{ ${parts.join(', ')} }`
  }
  return html([schema.type ?? 'any'].flat().join(' or '))
}

/** Text in which `code` is set apart. */
function prose(text: string): string {
  return html(text).replace(/`([^`]+)`/g, '<code>$1</code>')
}

function html(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 small { font-weight: normal; opacity: .6; }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; text-transform: capitalize; }
article { margin: 2rem 0; }
h3 span { font: bold .8em ui-monospace, monospace; padding: .15em .5em; border-radius: .3em; background: var(--soft); white-space: nowrap; }
h4 { margin: .8rem 0 .2rem; }
code, pre { font: .9em ui-monospace, monospace; }
pre { background: var(--soft); padding: .8rem; border-radius: .4rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--line); padding: .25rem .6rem .25rem 0; vertical-align: top; overflow-wrap: anywhere; }
.fields { table-layout: fixed; }
.fields td:nth-child(1), .fields td:nth-child(2) { width: 24%; }
.answers td:nth-child(1) { width: 12%; }
.answers td:nth-child(2) { width: 36%; }
.element > td { border-top: 0; padding-left: 1.5rem; }
h3 code { overflow-wrap: anywhere; }
i { opacity: .6; }
`
