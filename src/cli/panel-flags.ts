import {Flags} from '@oclif/core'

/** Where a panel keeps what it has; the same on every panel command. */
export const panelFlags = {
  data: Flags.string({
    env: 'REL_PANEL_DATA',
    helpValue: 'DIR',
    required: true,
    summary: 'Folder of the panel: database, artifacts, keys. Made at the first start.',
  }),
  database: Flags.string({
    env: 'REL_PANEL_DATABASE',
    helpValue: 'URL',
    summary: 'postgres://… instead of the file in the folder; the password in PGPASSWORD.',
  }),
  store: Flags.string({
    env: 'REL_PANEL_STORE',
    helpValue: 'URL',
    summary: 's3://HOST/BUCKET/PREFIX for artifacts; keys in AWS_ACCESS_KEY_ID and so on.',
  }),
}

export type PanelPlace = {
  readonly data: string
  readonly store?: string | undefined
  readonly database?: string | undefined
}
