import {Args, Flags} from '@oclif/core'
import {type KeyFileFlagValues, keyFileFlags} from './key-flags.ts'
import {type TrustFlagValues, trustFlags} from './trust-flags.ts'

/** Who signs off, and what a bump is recorded to or replayed from. */
export const worldFlags = {
  'sign-off': Flags.string({
    helpGroup: 'SIGN-OFF',
    helpValue: 'KEY',
    summary: 'Sign the change off with this key: a name from rel keys list, a file, or a signer.',
  }),
  'hardware-evidence': Flags.string({
    helpGroup: 'SIGN-OFF',
    helpValue: 'FILE',
    summary:
      'Signed evidence of a run on hardware (rel smoke hardware), for what no gate can prove.',
  }),
  ...keyFileFlags,
  ...trustFlags,
  record: Flags.string({
    exclusive: ['replay'],
    helpValue: 'DIR',
    summary: 'Keep every answer and every verdict in this folder.',
  }),
  replay: Flags.string({
    helpValue: 'DIR',
    summary:
      'Take every answer and every verdict from this folder: no network, no gate, nothing is pushed.',
  }),
}

/** The item and its KEY=VALUE words. */
export const bumpArgs = {
  item: Args.string({
    description: 'Item, as in playbooks/ITEM.yaml.',
    name: 'ITEM',
    required: true,
  }),
  assignment: Args.string({description: 'NEW=VERSION and further inputs.', name: 'KEY=VALUE'}),
}

/** What a bump may do. */
export const bumpFlags = {
  rollback: Flags.boolean({
    default: false,
    summary: 'Allow an older version than the current one.',
  }),
  critical: Flags.boolean({
    default: false,
    summary: 'Tag the change where the playbook tags critical ones.',
  }),
  lock: Flags.boolean({
    default: false,
    summary: 'Move nothing: verify the version that is pinned now and lock it.',
  }),
  push: Flags.boolean({
    allowNo: true,
    default: true,
    summary: 'Push the branch and open or update the pull request.',
  }),
  waive: Flags.string({
    helpGroup: 'SIGN-OFF',
    helpValue: 'GATE=REASON',
    multiple: true,
    summary: 'Let a gate pass for 90 days that could not prove its point; needs --sign-off.',
  }),
  ...worldFlags,
}

export type WorldFlagValues = KeyFileFlagValues &
  TrustFlagValues & {
    readonly 'sign-off'?: string | undefined
    readonly 'hardware-evidence'?: string | undefined
    readonly record?: string | undefined
    readonly replay?: string | undefined
    readonly json?: boolean | undefined
    readonly quiet: boolean
  }

export type BumpFlagValues = WorldFlagValues & {
  readonly rollback: boolean
  readonly critical: boolean
  /** Absent where nothing can be locked only, as in rel rollback. */
  readonly lock?: boolean | undefined
  readonly push: boolean
  readonly waive?: readonly string[] | undefined
}
