import {Args, Flags, type Interfaces} from '@oclif/core'
import {licenseStates, trackNames} from '../release/license.ts'

/** Where a panel is, and how one is let in; the token itself is never an argument. */
export const panelFlags = {
  panel: Flags.string({
    env: 'REL_PANEL_URL',
    helpGroup: 'PANEL',
    helpValue: 'URL',
    summary: 'The panel, such as https://releases.example.com.',
  }),
  'token-file': Flags.string({
    helpGroup: 'PANEL',
    helpValue: 'FILE',
    summary: 'File with the panel’s token; the environment’s REL_PANEL_TOKEN by default.',
  }),
}

/** What a command about a licence that a panel knows begins with. */
export const licenseArg = Args.string({
  description: 'A licence file, or an id.',
  name: 'FILE|ID',
  required: true,
})

/** Flags of `rel license freeze` and `revoke`. */
export const stopFlags = {
  reason: Flags.string({required: true, summary: 'Why; it goes into the audit log.'}),
  'dry-run': Flags.boolean({default: false, summary: 'Show it; ask nothing.'}),
  ...panelFlags,
}

export const trackFlag = Flags.option({default: 'stable', options: trackNames})({
  summary: 'stable sees stable alone; prerelease sees beta and rc, never stable.',
})

export const stateFlag = Flags.option({default: 'active', options: licenseStates})({
  summary: 'What a panel would say of the licence; for offline use.',
})

export type PanelFlagValues = Interfaces.InferredFlags<typeof panelFlags>
