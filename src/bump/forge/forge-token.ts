import {RelError} from '../../system/error.ts'
import {githubTokenFor} from '../github-token.ts'
import type {ForgeConfig} from './config.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The token of a forge, from the environment alone: REL_GITHUB_TOKEN or GITHUB_TOKEN for the API
 * that githubTokenFor allows, REL_GITEA_TOKEN for the address in REL_GITEA_URL and no other, since
 * the address in a playbook is the repository's word. Refuses with forge_token_missing.
 */
export function forgeToken(config: ForgeConfig, env: Environment): string {
  const {api_url: url} = config
  const token = config.kind === 'github' ? githubTokenFor(url, env) : giteaTokenFor(url, env)
  if (token) return token
  const names =
    config.kind === 'github'
      ? 'REL_GITHUB_TOKEN, and GITHUB_API_URL for another API than api.github.com'
      : 'REL_GITEA_URL and REL_GITEA_TOKEN'
  throw new RelError('forge_token_missing', `no token for ${new URL(url).origin}`, {
    hint: `Set ${names}; or bump with --no-push.`,
  })
}

function giteaTokenFor(url: string, env: Environment): string | undefined {
  const {REL_GITEA_URL: home = '', REL_GITEA_TOKEN: token} = env
  if (!URL.canParse(home) || new URL(home).origin !== new URL(url).origin) return undefined
  return token
}
