import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {keepFlag} from '../../cli/repro-flags.ts'

export default class GateReproducible extends BaseCommand<typeof GateReproducible> {
  static override summary = 'Build twice and compare the results byte by byte.'
  static override description =
    'The command runs in two fresh copies of the source. The second build has another path, umask, time zone, locale, home and clock, and its source files have other times and modes. Planted differences must be seen first, or the gate calls itself blind. Exit 27 when the results differ.'
  static override strict = false
  static override args = {
    command: Args.string({
      description: 'Program that builds, then its arguments.',
      name: 'COMMAND',
      required: true,
    }),
  }
  static override flags = {
    source: Flags.string({
      default: '.',
      helpValue: 'DIR',
      summary: 'Directory to build in; it is copied, not changed.',
    }),
    output: Flags.string({
      helpValue: 'PATH',
      multiple: true,
      multipleNonGreedy: true,
      summary: 'What to compare, below the source; everything when not given.',
    }),
    keep: keepFlag,
    timeout: Flags.integer({
      default: 3600,
      helpValue: 'SECS',
      max: 86_400,
      min: 1,
      summary: 'Seconds for each build.',
    }),
    log: Flags.string({
      default: 'rel-evidence',
      helpValue: 'DIR',
      summary: 'Directory for the logs.',
    }),
  }
  static override examples = [
    '<%= config.bin %> gate reproducible -- make image',
    '<%= config.bin %> gate reproducible --output build/build-manifest.json -- ./build.sh arm64',
    '<%= config.bin %> gate reproducible --keep clock --log evidence -- ./build.sh',
  ]

  protected async perform({argv, flags}: Input<typeof GateReproducible>): Promise<Outcome> {
    const {reproducibleFromFlags} = await import('../../cli/gate-reproducible.ts')
    return reproducibleFromFlags(argv, flags)
  }
}
