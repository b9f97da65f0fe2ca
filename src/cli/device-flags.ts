import {Args, Flags} from '@oclif/core'

/** The folder of a node, for every command of rel device. */
export const deviceArgs = {
  root: Args.string({description: 'Folder of the node.', name: 'DIR', required: true}),
}

/** The flags of commands that change a node. */
export const changeFlags = {
  'dry-run': Flags.boolean({default: false, summary: 'Check everything and change nothing.'}),
  events: Flags.boolean({
    default: false,
    summary: 'Print each event on standard error, one JSON object a line.',
  }),
}

/** The flag of what may go to an older version. */
export const grantFlag = Flags.string({
  helpValue: 'FILE',
  summary: 'A signed grant to go to an older version (rel device grant).',
})

/** The flags of stage and apply. */
export const updateFlags = {
  ...changeFlags,
  retry: Flags.boolean({
    default: false,
    summary: 'Take a version that was taken back, or fetched in vain, here before.',
  }),
  unattended: Flags.boolean({
    default: false,
    summary: 'Do only what upgrade.policy of the node allows without a person.',
  }),
}
