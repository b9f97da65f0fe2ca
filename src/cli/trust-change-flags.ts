import {Flags} from '@oclif/core'
import {roleNames} from '../trust/anchor-roles.ts'
import {keyFlags} from './key-flags.ts'

/** The flags of every command that makes a version of a trust anchor. */
export const newVersionFlags = {
  expires: Flags.string({
    default: '365d',
    helpValue: 'TIME',
    summary: 'When the version ends: a span, a date, or a UTC time.',
  }),
  'dry-run': Flags.boolean({
    default: false,
    summary: 'Show what would change and whose signatures it needs; sign and write nothing.',
  }),
  ...keyFlags,
}

/** The flags of every command that makes the next version of an anchor that is there. */
export const changeFlags = {
  trust: Flags.string({
    helpValue: 'FILE',
    summary: 'Trust anchor to change; the configured one or trust.json when not given.',
  }),
  ...newVersionFlags,
}

/** Limits on what a key may sign. */
export const limitFlags = {
  product: Flags.string({
    helpValue: 'PRODUCT',
    multiple: true,
    summary: 'Only for this product; may be given several times.',
  }),
  channel: Flags.string({
    helpValue: 'CHANNEL',
    multiple: true,
    summary: 'Only on this channel; may be given several times.',
  }),
}

export const roleFlag = Flags.option({multiple: true, options: roleNames, required: true})({
  summary: 'What the key may sign; may be given several times.',
})
