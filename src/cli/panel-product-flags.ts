import {Args, Flags, type Interfaces} from '@oclif/core'
import {panelFlags} from './panel-flags.ts'

export const productArg = Args.string({
  description: 'Name of the product.',
  name: 'PRODUCT',
  required: true,
})

/** What a product is to be; the same when it is made and when it is changed. */
export const productFlags = {
  anchor: Flags.string({
    helpValue: 'FILE',
    summary: 'trust.json, whose keys may sign its releases; a later one must follow the one there.',
  }),
  require: Flags.string({
    helpValue: 'COMPONENT/OS/ARCH',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'What every release must have; all of it, whatever was required before.',
  }),
  floor: Flags.string({
    helpValue: 'VERSION',
    summary: 'Lowest version that is offered; it only rises.',
  }),
  stopover: Flags.string({
    exclusive: ['no-stopovers'],
    helpValue: 'VERSION',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'A version that must be visited on the way up; all of them, whatever was set before.',
  }),
  'no-stopovers': Flags.boolean({default: false, summary: 'No version must be visited.'}),
  'dry-run': Flags.boolean({default: false, summary: 'Show what would change; write nothing.'}),
  ...panelFlags,
}

export type ProductFlagValues = Interfaces.InferredFlags<typeof productFlags>
