import {Args} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {releaseVerifyFlags} from '../../cli/release-flags.ts'

export default class ReleaseVerify extends BaseCommand<typeof ReleaseVerify> {
  static override summary = 'Verify a release manifest and its artifacts, offline.'
  static override description =
    'Passes only when trusted keys of the role manifest signed the manifest, and each artifact has the size, the SHA-256 and the signature, by a trusted key of the role artifact, that stand in it. No panel is asked, so what a panel has recalled since is not known.'
  static override args = {
    manifest: Args.string({
      description: 'The release manifest, or the folder with release.json in it.',
      name: 'MANIFEST',
      required: true,
    }),
  }
  static override flags = releaseVerifyFlags
  static override examples = [
    '<%= config.bin %> release verify dist --trust trust.json --product edge-agent --version 1.4.2',
    '<%= config.bin %> release verify release.json --artifacts downloads --trust trust.json',
    '<%= config.bin %> release verify release.json --manifest-only --trust trust.json --json',
  ]

  protected async perform({args, flags}: Input<typeof ReleaseVerify>): Promise<Outcome> {
    const {releaseVerify} = await import('../../cli/release-verify.ts')
    const {withTrustDefault} = await import('../../cli/config-defaults.ts')
    return releaseVerify(args.manifest, await withTrustDefault(flags), process.env)
  }
}
