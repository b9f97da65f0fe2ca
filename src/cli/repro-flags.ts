import {Flags} from '@oclif/core'
import {variedSettings} from '../gates/repro-settings.ts'

/** What a person may keep the same in the second build. */
export const keepFlag = Flags.option({
  multiple: true,
  multipleNonGreedy: true,
  options: variedSettings,
})({summary: 'Do not vary this; the report says so.'})
