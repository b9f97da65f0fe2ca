/** Environment variables whose value is a secret by their name; *_FILE holds a path and may be shown. */
const SECRET_NAME = /TOKEN|SECRET|PASSWORD|PASSPHRASE|PRIVATE|CREDENTIAL|_KEY$|_KEY_/i

/** Shorter values would also stand inside ordinary words. */
const SHORTEST_SECRET = 6

/**
 * Replaces the values of secret environment variables by their names. A last line of defence for
 * text that comes from elsewhere (errors of libraries, traces): our own messages hold no secrets.
 */
export function withhold(text: string, env: Readonly<Record<string, string | undefined>>): string {
  const secrets = Object.entries(env)
    .filter(([name]) => SECRET_NAME.test(name) && !name.endsWith('_FILE'))
    .filter(([, value]) => value !== undefined && value.length >= SHORTEST_SECRET)
    .sort(([, a], [, b]) => (b?.length ?? 0) - (a?.length ?? 0))
  return secrets.reduce((shown, [name, value]) => shown.replaceAll(value ?? '', `$${name}`), text)
}
