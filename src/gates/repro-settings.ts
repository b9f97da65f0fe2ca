/** What is different in the second build. */
export const variedSettings = [
  'path',
  'umask',
  'timezone',
  'locale',
  'home',
  'clock',
  'file_times',
  'file_modes',
] as const
export type VariedSetting = (typeof variedSettings)[number]
