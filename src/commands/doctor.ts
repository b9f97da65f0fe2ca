import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'

export default class Doctor extends BaseCommand<typeof Doctor> {
  static override summary = 'Check that this machine and folder are ready for rel.'
  static override description =
    'Looks at Node.js, git, the clock, configuration, signing key, trust anchor and the programs some commands need. Works anywhere, changes nothing without --fix, uses no network. Exit 28 when a check failed.'
  static override flags = {
    fix: Flags.boolean({
      default: false,
      summary: 'Do what is safe: permissions of keys, .rel/ in .gitignore.',
    }),
  }
  static override examples = [
    '<%= config.bin %> doctor',
    '<%= config.bin %> doctor --fix',
    '<%= config.bin %> doctor --json',
  ]

  protected async perform({flags}: Input<typeof Doctor>): Promise<Outcome> {
    const {examine} = await import('../cli/doctor-report.ts')
    return examine(process.cwd(), process.env, flags.fix)
  }
}
