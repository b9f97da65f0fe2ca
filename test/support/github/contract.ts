import {readFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {Ajv, type ValidateFunction} from 'ajv'
import type {Answer, Call} from './exchange.ts'

type Media = {readonly schema?: object}
type Body = {readonly required?: boolean; readonly content?: Readonly<Record<string, Media>>}
type Parameter = {readonly name: string; readonly in: string}
type Reference = {readonly $ref?: string}
type Operation = {
  readonly parameters?: readonly (Parameter & Reference)[]
  readonly requestBody?: Body
  readonly responses: Readonly<Record<string, Body & Reference>>
}
type Document = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: Readonly<Record<string, Readonly<Record<string, object>>>>
}

const require = createRequire(import.meta.url)

let shared: Contract | undefined

/** Read once per process: 13 MB of JSON cost a fifth of a second. */
export function githubContract(): Contract {
  shared ??= new Contract()
  return shared
}

/**
 * GitHub's own description of its API (@octokit/openapi): every call and every answer of the fake
 * is held against it, so that neither our client nor our double can drift from the real one.
 */
class Contract {
  readonly #document: Document
  readonly #ajv: Ajv
  readonly #registered = new Set<string>()
  readonly #validators = new Map<object, ValidateFunction>()
  readonly #paths: readonly {readonly pattern: RegExp; readonly path: string}[]

  constructor() {
    const file = require.resolve('@octokit/openapi/generated/api.github.com.json')
    this.#document = JSON.parse(readFileSync(file, 'utf8')) as Document
    this.#ajv = new Ajv({strict: false, validateFormats: false})
    this.#paths = Object.keys(this.#document.paths)
      .map((path) => ({path, pattern: patternOf(path)}))
      .sort((a, b) => literals(b.path) - literals(a.path))
  }

  /** What is wrong with one exchange, in words; empty when nothing is. */
  check(call: Call, answer: Answer): string[] {
    const where = `${call.method} ${call.path}`
    const operation = this.#operation(call)
    if (operation === undefined) return [`${where} is no operation of GitHub`]
    return [
      ...this.#checkQuery(call, operation),
      ...this.#checkRequest(call, operation),
      ...this.#checkAnswer(answer, operation),
    ].map((violation) => `${where}: ${violation}`)
  }

  #operation(call: Call): Operation | undefined {
    const found = this.#paths.find(
      ({pattern, path}) =>
        pattern.test(call.path) && this.#document.paths[path]?.[call.method.toLowerCase()],
    )
    return found && this.#document.paths[found.path]?.[call.method.toLowerCase()]
  }

  #checkQuery(call: Call, operation: Operation): string[] {
    const known = (operation.parameters ?? [])
      .map((parameter) => this.#resolve<Parameter>(parameter))
      .filter((parameter) => parameter.in === 'query')
      .map(({name}) => name)
    return [...call.query.keys()]
      .filter((name) => !known.includes(name))
      .map((name) => `query parameter ${name} is unknown`)
  }

  #checkRequest(call: Call, operation: Operation): string[] {
    const schema = operation.requestBody?.content?.['application/json']?.schema
    if (schema === undefined) return []
    if (call.body.length === 0) return operation.requestBody?.required ? ['a body is missing'] : []
    return this.#violations('request', schema, JSON.parse(call.body.toString('utf8')))
  }

  #checkAnswer(answer: Answer, operation: Operation): string[] {
    // 401, rate limits, server errors and revalidation are the same everywhere and not listed
    if ([304, 401, 403, 404, 429].includes(answer.status) || answer.status >= 500) return []
    const entry = operation.responses[answer.status]
    if (entry === undefined) return [`answer ${answer.status} is not described`]
    const schema = this.#resolve<Body>(entry).content?.['application/json']?.schema
    const isJson = typeof answer.body === 'object' && !Buffer.isBuffer(answer.body)
    if (schema === undefined || !isJson) return []
    return this.#violations(`answer ${answer.status}`, schema, described(answer.body as object))
  }

  #violations(what: string, schema: object, value: unknown): string[] {
    const validate = this.#validator(schema)
    if (validate(value)) return []
    return (validate.errors ?? []).map(
      ({instancePath, message}) => `${what}${instancePath} ${message}`,
    )
  }

  #validator(schema: object): ValidateFunction {
    const made = this.#validators.get(schema) ?? this.#ajv.compile(this.#portable(schema) as object)
    this.#validators.set(schema, made)
    return made
  }

  /**
   * A schema for ajv: components are registered when something refers to them, since all 13 MB at
   * once cost a second; `nullable` without `type` (OpenAPI 3.0) becomes anyOf.
   */
  #portable(schema: unknown): unknown {
    if (Array.isArray(schema)) return schema.map((entry) => this.#portable(entry))
    if (typeof schema !== 'object' || schema === null) return schema
    const node: Record<string, unknown> = {}
    for (const [key, value] of Object.entries(schema))
      node[key] = key === '$ref' ? this.#register(String(value)) : this.#portable(value)
    if (node.nullable !== true || node.type !== undefined) return node
    delete node.nullable
    return {anyOf: [node, {type: 'null'}]}
  }

  #register(reference: string): string {
    const [, kind = '', name = ''] = /^#\/components\/(\w+)\/(.+)$/.exec(reference) ?? []
    const id = `github-${kind}-${name}`
    if (this.#registered.has(id)) return id
    this.#registered.add(id)
    this.#ajv.addSchema(this.#portable(this.#document.components[kind]?.[name]) as object, id)
    return id
  }

  #resolve<T>(value: T & Reference): T {
    if (value.$ref === undefined) return value
    const [, kind = '', name = ''] = /^#\/components\/(\w+)\/(.+)$/.exec(value.$ref) ?? []
    return this.#document.components[kind]?.[name] as T
  }
}

/** GitHub writes of the state `starter` in words, and leaves it out of the list of states. */
function described(body: object): unknown {
  return JSON.parse(JSON.stringify(body).replaceAll('"state":"starter"', '"state":"open"'))
}

/** Some parameters (tags, refs, paths, digests) may hold slashes. */
function patternOf(path: string): RegExp {
  const source = path
    .replace(/[.*+?^$()|[\]\\]/g, '\\$&')
    .replace(/\{(?:ref|path|tag|basehead|subject_digest)\}/g, '.+')
    .replace(/\{[^}]+\}/g, '[^/]+')
  return new RegExp(`^${source}$`)
}

/** Of two paths that fit, the one with more fixed segments is meant. */
function literals(path: string): number {
  return path.split('/').filter((segment) => !segment.startsWith('{')).length
}
