import {Type} from 'typebox'
import {isDigest} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import type {Metrics} from '../server/metrics.ts'
import type {Caller} from '../server/token.ts'
import {personOf} from '../server/token.ts'
import type {StoredUpload} from '../store/store.ts'
import {digestText, exact, headers, ulidText} from './fields.ts'
import {blobMended, blobSize} from './flaws.ts'
import {newUlid} from './ulid.ts'

/** The version of tus.io's protocol that is spoken. */
const TUS = '1.0.0'
const OFFSET_TYPE = 'application/offset+octet-stream'
const count = /^(?:0|[1-9][0-9]{0,14})$/

const uploadParams = exact({id: ulidText})
const tusHeader = {'tus-resumable': Type.Optional(Type.String())}

/**
 * Uploads by tus 1.0 (core, creation, termination, expiration; tus.io/protocols/resumable-upload):
 * size and SHA-256 are announced, bytes arrive in any number of pieces, and the last one makes the
 * blob, when the digest is the announced one. An upload belongs to the token that began it.
 */
export function uploadRoutes(app: PanelApp, panel: Panel, metrics: Metrics): void {
  const {store, blobs, uploads, clock, config} = panel

  app.head(
    '/v1/blobs/:sha256',
    {
      config: {verbs: ['publish', 'release']},
      schema: {summary: 'Whether the bytes are there', params: exact({sha256: digestText})},
    },
    async ({params: {sha256}, caller}, reply) => {
      const size = await sizeFor(caller, sha256)
      if (size === undefined) throw new RelError('blob_missing', 'the panel has no such bytes')
      return reply.header('rel-size', String(size)).header('cache-control', 'no-store').send()
    },
  )

  app.options(
    '/v1/uploads',
    {config: {verbs: ['publish']}, schema: {summary: 'What of tus is spoken'}},
    async (_request, reply) =>
      reply
        .code(204)
        .headers({
          'tus-resumable': TUS,
          'tus-version': TUS,
          'tus-extension': 'creation,termination,expiration',
          'tus-max-size': String(config.limits.uploadBytes),
        })
        .send(),
  )

  app.post(
    '/v1/uploads',
    {
      config: {verbs: ['publish']},
      schema: {
        summary: 'Begin an upload',
        description: 'Upload-Metadata: `sha256 BASE64`, the base64 of 64 hex digits.',
        headers: headers({
          ...tusHeader,
          'upload-length': Type.Optional(Type.String()),
          'upload-metadata': Type.Optional(Type.String()),
        }),
      },
    },
    async ({headers: given, caller}, reply) => {
      checkTus(given['tus-resumable'])
      const size = numberOf(given['upload-length'], 'Upload-Length')
      const sha256 = announcedDigest(given['upload-metadata'])
      if (size > config.limits.uploadBytes)
        throw new RelError('upload_quota', `${size} bytes, at most ${config.limits.uploadBytes}`)
      if ((await sizeFor(caller, sha256)) === size)
        return reply
          .code(200)
          .headers({'tus-resumable': TUS, 'upload-offset': String(size)})
          .send()
      const now = clock()
      const expires = now + config.limits.uploadSecs
      const id = newUlid(now * 1000)
      const upload: StoredUpload = {
        id,
        sha256,
        size,
        owner: personOf(caller.token),
        created: now,
        expires,
      }
      const {openUploads, openUploadBytes} = config.limits
      await store.addUpload(upload, {count: openUploads, bytes: openUploadBytes})
      try {
        await uploads.create({id, size})
      } catch (error) {
        await store.removeUpload(id)
        throw error
      }
      return reply
        .code(201)
        .headers({location: `/v1/uploads/${id}`, 'upload-offset': '0', ...stateHeaders(upload)})
        .send()
    },
  )

  app.head(
    '/v1/uploads/:id',
    {
      config: {verbs: ['publish']},
      schema: {summary: 'How much has arrived', params: uploadParams},
    },
    async ({params: {id}, caller}, reply) => {
      const {upload, offset} = await openUpload(id, personOf(caller.token))
      return reply
        .headers({
          'upload-offset': String(offset),
          'upload-length': String(upload.size),
          'cache-control': 'no-store',
          ...stateHeaders(upload),
        })
        .send()
    },
  )

  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(OFFSET_TYPE, (_request, payload, done) => done(null, payload))
    patchRoute(scope as PanelApp)
  })

  app.delete(
    '/v1/uploads/:id',
    {config: {verbs: ['publish']}, schema: {summary: 'Give an upload up', params: uploadParams}},
    async ({params: {id}, caller}, reply) => {
      await openUpload(id, personOf(caller.token))
      await uploads.remove(id)
      await store.removeUpload(id)
      return reply.code(204).header('tus-resumable', TUS).send()
    },
  )

  function patchRoute(scope: PanelApp): void {
    scope.patch(
      '/v1/uploads/:id',
      {
        // what a piece may have is what the upload has left, which the upload store checks
        bodyLimit: config.limits.uploadBytes,
        config: {verbs: ['publish']},
        schema: {
          summary: 'Send the next bytes',
          description:
            'The last piece checks the digest: 460 when it differs, and the upload is gone. A piece of no bytes at the end finishes an upload whose answer was lost.',
          params: uploadParams,
          headers: headers({...tusHeader, 'upload-offset': Type.Optional(Type.String())}),
        },
      },
      async ({params: {id}, headers: given, body, caller}, reply) => {
        checkTus(given['tus-resumable'])
        const at = numberOf(given['upload-offset'], 'Upload-Offset')
        const {upload} = await openUpload(id, personOf(caller.token))
        const offset = await uploads.append(id, at, body as AsyncIterable<Uint8Array>)
        metrics.uploaded(offset - at)
        if (offset === upload.size) await finish(upload)
        return reply
          .code(204)
          .headers({'upload-offset': String(offset), ...stateHeaders(upload)})
          .send()
      },
    )
  }

  /** A token of some products is not told what only other products have. */
  async function sizeFor({token}: Caller, sha256: string): Promise<number | undefined> {
    const {products} = token
    if (products !== undefined && !(await store.namesBlob(sha256, products))) return undefined
    return blobSize(blobs, sha256)
  }

  /** What does not have its digest is gone, here as in the upload store. */
  async function finish({id, sha256}: StoredUpload): Promise<void> {
    try {
      await uploads.finish(id, sha256, blobs)
    } catch (error) {
      if (error instanceof RelError && error.code === 'blob_mismatch') await store.removeUpload(id)
      throw error
    }
    blobMended(blobs, sha256)
    await store.removeUpload(id)
  }

  /** Refuses with upload_unknown, also for what belongs to somebody else. */
  async function openUpload(
    id: string,
    owner: string,
  ): Promise<{readonly upload: StoredUpload; readonly offset: number}> {
    const upload = await store.upload(id)
    const isOurs = upload !== undefined && upload.owner === owner && clock() < upload.expires
    const offset = isOurs ? await uploads.offset(id) : undefined
    if (upload === undefined || offset === undefined)
      throw new RelError('upload_unknown', 'there is no such upload')
    return {upload, offset}
  }
}

function stateHeaders({expires}: StoredUpload): Record<string, string> {
  return {'tus-resumable': TUS, 'upload-expires': new Date(expires * 1000).toUTCString()}
}

function checkTus(version: string | undefined): void {
  if (version === TUS) return
  throw new RelError('request_invalid', `Tus-Resumable is not ${TUS}`)
}

function numberOf(header: string | undefined, name: string): number {
  if (header !== undefined && count.test(header)) return Number(header)
  throw new RelError('request_invalid', `${name} is not a number`)
}

/** `sha256 BASE64` among the pairs of Upload-Metadata; other pairs are for others. */
function announcedDigest(header = ''): string {
  const pairs = header.split(',').map((pair) => pair.trim().split(' '))
  const [, base64 = ''] = pairs.find(([key]) => key === 'sha256') ?? []
  const digest = Buffer.from(base64, 'base64').toString('latin1')
  if (isDigest(digest)) return digest
  throw new RelError('request_invalid', 'Upload-Metadata has no sha256 of 64 hex digits in base64')
}

/** Removes uploads that nobody finished in time. */
export async function dropStaleUploads({store, uploads, config}: Panel): Promise<void> {
  for await (const id of uploads.stale(config.limits.uploadSecs)) {
    await uploads.remove(id)
    await store.removeUpload(id)
  }
}
