import {z} from 'zod'
import {RelError} from '../../system/error.ts'
import type {Http} from '../../system/http.ts'

const channelsSchema = z.object({
  data: z
    .array(z.object({name: z.string().max(100), latest: z.string().max(100).nullish()}))
    .max(1000),
})

const MAX_BYTES = 1024 * 1024

/**
 * The version that a channel server announces, or undefined when it is down, redirects, or does
 * not speak of this channel: it is a hint about what to look at, never a proof. (HEAD gives 405,
 * and a redirect to a release page once became a version named `stable`: k3s-io/k3s#11974.)
 */
export async function channelVersion(
  http: Http,
  url: string,
  name: string,
): Promise<string | undefined> {
  const request = {url, headers: {accept: 'application/json'}, maxBytes: MAX_BYTES}
  try {
    const answer = await http.send({...request, redirects: 'return'})
    if (answer.status !== 200) return undefined
    const parsed = channelsSchema.safeParse(jsonOf(answer.body))
    const channel = parsed.data?.data.find((one) => one.name === name)
    return channel?.latest ?? undefined
  } catch (error) {
    if (error instanceof RelError) return undefined
    throw error
  }
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
