import {readFileSync} from 'node:fs'
import {ContentCache} from '../../../src/system/content-cache.ts'
import {makeHttp} from '../../../src/system/http-client.ts'

/** download.ts SIZE: fetches so many bytes of the server that origin.url names into a cache. */
const size = Number(process.argv[2])
const url = `${readFileSync('origin.url', 'utf8')}/${size}`
const http = makeHttp({cache: new ContentCache('downloads'), userAgent: 'rel-bench'})
const file = await http.download({url, maxBytes: size})
if (file.size !== size || file.fetched !== size)
  throw new Error(`got ${file.size} of ${size} bytes`)
process.exit(0) // without waiting for the connection that is kept alive
