import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'

export default class Explain extends BaseCommand<typeof Explain> {
  static override summary = 'Say what an error code means and what to do about it.'
  static override description =
    'Works offline. Without a code, lists every code by area. Codes are permanent: the same in messages, JSON, panel, device, audit log and docs/error-codes.md.'
  static override args = {
    code: Args.string({description: 'A code such as signature_invalid.', name: 'CODE'}),
  }
  static override examples = [
    '<%= config.bin %> explain signature_invalid',
    '<%= config.bin %> explain',
    '<%= config.bin %> explain key_unknown --json',
  ]

  protected async perform({args}: Input<typeof Explain>): Promise<Outcome> {
    const {explainCode, listCodes} = await import('../cli/explain-code.ts')
    return args.code === undefined ? listCodes() : explainCode(args.code)
  }
}
