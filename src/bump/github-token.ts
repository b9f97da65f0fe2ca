type Environment = Readonly<Record<string, string | undefined>>

/**
 * The token for an API that a playbook names. Playbooks come with repositories, and listing one
 * must not hand the person's token to whatever address stands in it: only GitHub's own API gets it,
 * or the one that the environment names (GITHUB_API_URL, as Actions on GitHub Enterprise sets it).
 */
export function githubTokenFor(apiUrl: string, env: Environment): string | undefined {
  const token = env.REL_GITHUB_TOKEN || env.GITHUB_TOKEN
  const home = env.GITHUB_API_URL || 'https://api.github.com'
  return token && originOf(apiUrl) === originOf(home) ? token : undefined
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url
}
