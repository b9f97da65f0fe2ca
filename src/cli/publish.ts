import type {PublishPlan} from '../release/publish/plan.ts'
import {type Published, runPublish} from '../release/publish/run.ts'
import {counted} from '../system/counted.ts'
import type {JsonObject} from '../system/json.ts'
import {shortId} from '../trust/envelope.ts'
import type {Signer} from '../trust/signer.ts'
import type {Outcome} from './base-command.ts'
import {annotated, tellActions} from './github-actions.ts'
import {openSignerFromFlags} from './key-flags.ts'
import {type OnProgress, withProgress} from './progress.ts'
import type {PublishFlagValues} from './publish-flags.ts'
import {planFromFlags, receiptPath, worldFor} from './publish-world.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** `rel publish`: one plan to the panel and to GitHub, one receipt over both. */
export function publish(
  path: string,
  flags: PublishFlagValues,
  env: Environment,
): Promise<Outcome> {
  return annotated(env, async () => {
    const publication = {createsTag: flags['create-tag'], title: flags.title, notes: flags.notes}
    const {plan, loaded, manifest} = await withProgress('Reading the release', flags, () =>
      planFromFlags(path, flags, publication, true),
    )
    if (flags['dry-run']) return dryRun(plan)
    const receipt = flags.receipt ?? receiptPath(manifest)
    // asked for before anything is sent: a passphrase that is wrong must not leave half a publication
    const signer = await receiptSigner(flags)
    const published = await withProgress('Publishing', flags, async (report) => {
      const onStep = stepReporter(plan, report)
      const probes = flags['probe-license'] ?? []
      const world = await worldFor(plan, flags, env, {
        probes,
        receipt,
        onStep,
        ...(signer === undefined ? {} : {receiptSigner: signer}),
      })
      const result = await runPublish(plan, loaded.manifest, world)
      world.close()
      return result
    })
    signer?.close?.()
    tellActions(env, summaryOf(plan, published), outputsOf(published, receipt))
    return outcomeOf(plan, published, receipt)
  })
}

async function receiptSigner(flags: PublishFlagValues): Promise<Signer | undefined> {
  const {'receipt-key': key, 'receipt-signer': signer} = flags
  if (key === undefined && signer === undefined) return undefined
  return openSignerFromFlags({...flags, key, signer})
}

function stepReporter({assets}: PublishPlan, report: OnProgress) {
  let done = 0
  return (phase: 'begin' | 'end', step: string) => {
    if (phase === 'end' && /^(?:panel-upload|github-asset) /.test(step)) done++
    report({done, total: assets.length, text: step})
  }
}

function dryRun(plan: PublishPlan): Outcome {
  const {product, version, channel, digest, assets} = plan
  return {
    result: {...planResult(plan), dry_run: true},
    lines: [
      `${product} ${version} for channel ${channel}, manifest ${shortId(digest)}`,
      ...targetsOf(plan).map((target) => `  to ${target}`),
      ...assets.map(
        ({name, kind, size, sha256}) =>
          `  ${name}: ${kind}, ${counted(size, 'byte')}, ${shortId(sha256)}`,
      ),
    ],
  }
}

function targetsOf({panel, github}: PublishPlan): string[] {
  return [
    ...(panel === undefined ? [] : [`the panel ${panel.url}`]),
    ...(github === undefined ? [] : [`GitHub ${github.repository}, tag ${github.tag}`]),
  ]
}

/** The plan as JSON, with the steps in their order. */
function planResult(plan: PublishPlan): JsonObject {
  const {product, version, channel, digest, panel, github, assets} = plan
  return {
    product,
    version,
    channel,
    manifest_sha256: digest,
    targets: {
      ...(panel === undefined ? {} : {panel: {url: panel.url}}),
      ...(github === undefined
        ? {}
        : {
            github: {
              api_url: github.apiUrl,
              repository: github.repository,
              tag: github.tag,
              prerelease: github.isPrerelease,
            },
          }),
    },
    assets: assets.map(({name, kind, size, sha256}) => ({name, kind, size, sha256})),
  }
}

function outcomeOf(plan: PublishPlan, {receipt, sent, changed}: Published, path: string): Outcome {
  const {product, version, channel} = plan
  const count = new Set([...sent.panel, ...sent.github]).size
  return {
    result: {
      ...receipt,
      changed,
      sent: {panel: [...sent.panel], github: [...sent.github]},
      receipt_file: path,
    },
    lines: [
      changed
        ? `✔ published ${product} ${version} (${channel}): ${counted(count, 'file')} sent`
        : `✔ ${product} ${version} (${channel}) was published already, nothing was sent`,
      ...targetsOf(plan).map((target) => `  ${target}`),
      `  receipt ${path}`,
      ...(changed
        ? ['There is no undo: a published release can be recalled, not taken back.']
        : []),
    ],
  }
}

function summaryOf(plan: PublishPlan, {receipt, sent, changed}: Published): readonly string[] {
  const {product, version, channel, digest, assets} = plan
  return [
    `### ${product} ${version} ${changed ? 'published' : 'was published already'}`,
    '',
    `Channel ${channel}, manifest \`${digest}\``,
    '',
    ...targetsOf(plan).map((target) => `- ${target}`),
    '',
    '| file | bytes | SHA-256 | sent |',
    '|--|--:|--|--|',
    ...assets.map(({name, size, sha256}) => {
      const targets = [
        ...(sent.panel.includes(name) ? ['panel'] : []),
        ...(sent.github.includes(name) ? ['GitHub'] : []),
      ]
      return `| ${name} | ${size} | \`${sha256}\` | ${targets.join(', ') || 'was there'} |`
    }),
    ...githubUrl(receipt).map((url) => `\n<${url}>`),
  ]
}

function outputsOf({receipt, changed}: Published, path: string): Record<string, string> {
  const {product, version, channel, manifest_sha256: digest} = receipt
  const [url] = githubUrl(receipt)
  return {
    product: String(product),
    version: String(version),
    channel: String(channel),
    manifest_sha256: String(digest),
    changed: String(changed),
    receipt: path,
    ...(url === undefined ? {} : {github_url: url}),
  }
}

function githubUrl({targets}: JsonObject): string[] {
  const {github} = targets as {github?: {url?: unknown}}
  return typeof github?.url === 'string' ? [github.url] : []
}
