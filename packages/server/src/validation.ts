import { invalidField, type SeamarkError } from '@seamark/core'
import { Ajv, type ErrorObject } from 'ajv'
import type { FastifyInstance, FastifySchema } from 'fastify'
import type { FastifyRouteSchemaDef } from 'fastify/types/schema.js'

const options = {
  allowUnionTypes: true,
  strict: true,
  removeAdditional: false,
  useDefaults: false,
  verbose: true,
} as const

/** Bodies are taken as they are. */
const strict = new Ajv({ ...options, coerceTypes: false })

/** Paths and queries are text: `limit=10` is a number, and `tag=a` a list of one. */
const textual = new Ajv({ ...options, coerceTypes: 'array' })

/** What a part of a request is called in messages, when all of it is wrong, and what its fields are. */
const parts: Record<string, { readonly name: string; readonly member: string }> = {
  body: { name: 'body', member: 'field of this request' },
  querystring: { name: 'query', member: 'parameter of this request' },
  params: { name: 'path', member: 'part of this path' },
}

/** Validates by the routes' schemas, and says what is wrong in our words. Answers are not rewritten by theirs. */
export function validation(app: FastifyInstance): void {
  app.setValidatorCompiler(({ schema, httpPart = 'body' }: FastifyRouteSchemaDef<FastifySchema>) => {
    const validate = (httpPart === 'body' ? strict : textual).compile(schema)
    return (value: unknown) =>
      validate(value) ? { value } : { error: fieldError(httpPart, validate.errors![0]!) }
  })
  app.setSerializerCompiler(() => JSON.stringify)
}

function fieldError(part: string, error: ErrorObject): SeamarkError {
  const { name, member } = parts[part] ?? parts.body!
  const at = error.instancePath.slice(1).split('/').map(unescaped).filter(Boolean)
  if (error.keyword === 'required') at.push(error.params.missingProperty)
  if (error.keyword === 'additionalProperties') at.push(error.params.additionalProperty)
  const field = at.join('/').slice(0, 200)
  return invalidField(field === '' ? name : field, problem(error, member))
}

function problem(
  { keyword, params, message = 'is not valid', parentSchema }: ErrorObject,
  member: string,
): string {
  switch (keyword) {
    case 'required':
      return 'is required'
    case 'additionalProperties':
      return `is not a ${member}`
    case 'type':
      return `must be ${[params.type].flat().join(' or ')}`
    case 'enum':
      return `must be one of ${params.allowedValues.join(', ')}`
    case 'pattern':
      return `must look like ${(parentSchema?.examples ?? [params.pattern]).join(' or ')}`
    default:
      return message.replace(' NOT ', ' not ')
  }
}

/** JSON Pointer's escapes (RFC 6901, 4). */
function unescaped(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}
