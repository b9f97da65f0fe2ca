import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../cli/base-command.ts'
import {verifyFlags} from '../cli/verify-flags.ts'

export default class Verify extends BaseCommand<typeof Verify> {
  static override summary = 'Verify a directory, an archive or a file.'
  static override description =
    'A bundle passes only when trusted keys signed its manifest and every file is exactly as signed: nothing missing, nothing more. A single file is verified by the .minisig, .sshsig or .sig beside it. Nothing is unpacked or changed. For a release manifest: rel release verify.'
  static override args = {
    path: Args.string({description: 'Directory, archive or file.', name: 'PATH', required: true}),
  }
  static override flags = {
    ...verifyFlags,
    manifest: Flags.string({
      helpValue: 'FILE',
      summary: 'Manifest of a directory, when it is not DIRECTORY/manifest.json.',
    }),
    detached: Flags.boolean({
      default: false,
      summary: 'Verify an archive as a single file, by the signature beside it.',
    }),
    explain: Flags.boolean({default: false, summary: 'Print each check as it passes.'}),
  }
  static override examples = [
    '<%= config.bin %> verify dist/edge-agent-v1.4.2 --trust trust.json --product edge-agent',
    '<%= config.bin %> verify edge-agent-1.4.2.tar.zst --public-key release.pub --version 1.4.2',
    '<%= config.bin %> verify agent.bin --public-key release.pub',
    '<%= config.bin %> verify dist --trust trust.json --explain --paranoid',
  ]

  protected async perform({args, flags}: Input<typeof Verify>): Promise<Outcome> {
    const {verifyPath} = await import('../cli/verify-path.ts')
    const {withTrustDefault} = await import('../cli/config-defaults.ts')
    return verifyPath(args.path, await withTrustDefault(flags))
  }
}
