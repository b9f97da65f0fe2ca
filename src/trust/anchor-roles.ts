/** What a key may sign; a key of one role never counts for another. Apart, so that --help is fast. */
export const roleNames = [
  'root',
  'manifest',
  'artifact',
  'license',
  'reviewer',
  'release-manager',
  'rollback',
  'freshness',
] as const

export type RoleName = (typeof roleNames)[number]
