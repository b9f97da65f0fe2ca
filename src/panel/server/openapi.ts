import type {FastifyDynamicSwaggerOptions} from '@fastify/swagger'
import type {FastifySchema} from 'fastify'
import {Type} from 'typebox'
import type {VerbName} from '../store/store.ts'

const problemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({description: 'Permanent; docs/error-codes.md has them all.'}),
    detail: Type.String(),
    hint: Type.String(),
    request_id: Type.String(),
    details: Type.Optional(Type.Object({}, {additionalProperties: true})),
  },
  {description: 'RFC 9457'},
)

/** How the routes become /openapi.json. */
export const openapiOptions: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'rel panel',
      version: '1.0.0',
      description: 'Releases, channels and licences: what nodes poll and what pipelines publish.',
    },
    components: {
      schemas: {Problem: problemSchema as object},
      responses: {
        Problem: {
          description: 'Refused',
          content: {
            'application/problem+json': {schema: {$ref: '#/components/schemas/Problem'}},
          },
        },
      },
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'relp_…, a token of a person or a pipeline',
        },
        license: {type: 'http', scheme: 'bearer', description: 'rel1.…, the licence of a node'},
      },
    },
  },
  transform: ({schema, url, route}) => {
    const {verbs, by} = (route.config ?? {}) as {
      verbs?: readonly VerbName[]
      by?: 'license' | 'token'
    }
    const scheme = verbs === undefined ? by : 'token'
    const own = (schema ?? {}) as FastifySchema & {description?: string}
    const needs =
      verbs === undefined
        ? undefined
        : `Token with ${[...new Set([...verbs, 'admin'])].join(' or ')}.`
    const description = [own.description, needs].filter((text) => text !== undefined).join(' ')
    return {
      url,
      schema: {
        ...own,
        ...(description === '' ? {} : {description}),
        ...(scheme === undefined ? {} : {security: [{[scheme]: []}]}),
      },
    }
  },
  transformObject: (document) => {
    if (!('openapiObject' in document)) return document.swaggerObject
    const {openapiObject} = document
    for (const path of Object.values(openapiObject.paths ?? {}))
      for (const operation of Object.values(path as Record<string, {responses: object}>))
        Object.assign(operation.responses, {default: {$ref: '#/components/responses/Problem'}})
    return openapiObject
  },
}
