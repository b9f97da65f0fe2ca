import type {GitHubRequest} from '../release/publish/world.ts'
import type {Http} from '../system/http.ts'
import {octokitError, openOctokit} from '../upstream/github-release/octokit.ts'

/** Octokit as the publisher asks it. Nothing is loaded before the first call. */
export function githubRequest(http: Http, baseUrl: string, token: string): GitHubRequest {
  let opening: ReturnType<typeof openOctokit> | undefined
  return async (route, parameters) => {
    opening ??= openOctokit({http, baseUrl, token})
    const octokit = await opening
    try {
      const {data} = await octokit.request(route, parameters)
      return data as unknown
    } catch (error) {
      throw octokitError(error, route)
    }
  }
}
