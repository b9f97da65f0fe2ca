/** One request to the fake GitHub, read whole. */
export type Call = {
  readonly method: string
  /** As it came: still percent-encoded, without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** Who the token belongs to; undefined without a token. */
  readonly login: string | undefined
}

export type Answer = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Objects are sent as JSON. */
  readonly body?: Buffer | string | object
}

/** What a part of the overlay answers; undefined leaves the call to the next part. */
export type Route = (call: Call) => Answer | undefined | Promise<Answer | undefined>

export function notFound(): Answer {
  return {
    status: 404,
    body: {
      message: 'Not Found',
      documentation_url: 'https://docs.github.com/rest',
      status: '404',
    },
  }
}

/** GitHub's 422 with its errors[], which emulate leaves out. */
export function validationFailed(
  resource: string,
  field: string,
  code: string,
  message?: string,
): Answer {
  const error = message === undefined ? {resource, field, code} : {resource, field, code, message}
  return {
    status: 422,
    body: {
      message: 'Validation Failed',
      errors: [error],
      documentation_url: 'https://docs.github.com/rest',
    },
  }
}

export function jsonOf(call: Call): Record<string, unknown> {
  const value: unknown = call.body.length === 0 ? {} : JSON.parse(call.body.toString('utf8'))
  if (typeof value !== 'object' || value === null) throw new Error('a request body is no object')
  return value as Record<string, unknown>
}
