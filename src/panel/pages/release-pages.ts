import type {ReleaseArtifact} from '../../release/release.ts'
import {parseAnchor} from '../../trust/anchor-parse.ts'
import {formatPublicKey} from '../../trust/public-key.ts'
import {missingOf} from '../admin/flaws.ts'
import {fileOf} from '../admin/publish-release.ts'
import type {Panel} from '../panel.ts'
import type {Product, Recall, StoredRelease} from '../store/store.ts'
import {type Html, html} from './html.ts'
import {command, csrfField, decision, facts, field, may, table} from './layout.ts'
import {missingList, publishing, releaseHref, slotText, stateTag} from './product-pages.ts'
import type {Session} from './session.ts'
import type {RecallFlaws, TypedRecall} from './typed.ts'
import {moment, shellWord, size} from './words.ts'

/** Digits of a key id in file names and headings. */
const SHORT = 16

/** A release: what it is, what it lacks, its artifacts, and how to check them without rel. */
export async function releaseMain(
  panel: Panel,
  session: Session,
  product: Product,
  stored: StoredRelease,
  address: string,
): Promise<Html> {
  const {version, state} = stored
  const href = releaseHref(product.name, version)
  const {release} = fileOf(stored)
  const missing = await missingOf(panel.blobs, release, product.matrix)
  // what the matrix demands now says nothing of a release that was complete when it was published
  const lacking =
    state === 'draft' ? missing : missing.filter(({reason}) => reason === 'not_uploaded')
  return html`<h1>${product.name} ${version} ${stateTag(state)}</h1>
${stored.recall !== undefined && recalledNote(product.name, stored.recall)}
${lacking.length > 0 && html`<section class="note alarm" aria-label="Missing"><p>${state === 'draft' ? 'Not complete. Missing:' : 'Bytes of this release are gone from the store:'}</p>${missingList(lacking)}</section>`}
${facts([
  ['Channel', stored.channel],
  ['Complete', lacking.length === 0 ? 'yes' : `no, ${lacking.length} missing`],
  ['Sequence', stored.sequence === undefined ? undefined : String(stored.sequence)],
  ['Drafted', moment(stored.created)],
  ['Published', stored.published === undefined ? undefined : moment(stored.published)],
  ['Built', moment(release.timestamp)],
  ['Expires', release.expires === undefined ? undefined : moment(release.expires)],
  ['Lowest version to come from', release.minFrom],
  ['Floor it sets', release.minVersion],
  ['Commit', release.commit === undefined ? undefined : html`<code>${release.commit}</code>`],
  ['Digest', html`<code>${stored.digest}</code>`],
  ['Manifest', html`<a href="${href}/manifest.json">release.json, signed</a>`],
])}
${state === 'published' && may(session, 'release') && html`<p class="actions"><a class="button danger" href="${href}/recall">Recall ${version}…</a></p>`}
${state === 'draft' && html`<div class="note"><p>${lacking.length === 0 ? 'Everything is here. From the folder of its files, publish it:' : 'From the folder of its files, send what is missing and publish it:'}</p>${command('publish it', publishing(address))}</div>`}
<h2>Artifacts</h2>
${artifactTable(stored.artifacts)}
<h2>Check it with stock tools</h2>
${howToCheck(product, stored.artifacts)}`
}

function recalledNote(product: string, {reason, advisory, replacement}: Recall): Html {
  return html`<section class="note alarm" aria-label="Recalled"><p><strong>Recalled:</strong> <bdi>${reason}</bdi></p>
${advisory !== undefined && html`<p>Advisory: <bdi>${advisory}</bdi></p>`}
${replacement !== undefined && html`<p>Install <a href="${releaseHref(product, replacement)}">${replacement}</a> instead.</p>`}</section>`
}

function artifactTable(artifacts: readonly ReleaseArtifact[]): Html {
  return table(
    'Artifacts',
    [
      {title: 'File'},
      {title: 'For', kind: 'line'},
      {title: 'Size', kind: 'number'},
      {title: 'SHA-256, signature, key'},
    ],
    artifacts.map((artifact) => [
      artifact.name,
      html`${slotText(artifact)}${!artifact.required && html` <span class="quiet">optional</span>`}`,
      size(artifact.size),
      html`<code>${artifact.sha256}</code>
<details><summary>Signature<span class="sr"> of ${artifact.name}</span></summary>
<p class="quiet">Ed25519 over the bytes, by key <code>${artifact.keyId}</code></p><p><code>${artifact.signature}</code></p>
${command(`check ${artifact.name}`, checkCommands(artifact))}</details>`,
    ]),
  )
}

const pemName = (keyId: string): string => `artifact-${keyId.slice(0, SHORT)}.pem`

function checkCommands({name, sha256, signature, keyId}: ReleaseArtifact): string {
  const file = shellWord(name)
  const signatureFile = shellWord(`${name}.sig`)
  return `printf '%s  %s\\n' ${sha256} ${file} | sha256sum --check
printf '%s' ${shellWord(signature)} | base64 --decode > ${signatureFile}
openssl pkeyutl -verify -pubin -inkey ${pemName(keyId)} -rawin -in ${file} -sigfile ${signatureFile}`
}

function howToCheck({anchor}: Product, artifacts: readonly ReleaseArtifact[]): Html {
  const used = [...new Set(artifacts.map(({keyId}) => keyId))]
  const known = anchor === undefined ? undefined : parseAnchor(Buffer.from(anchor)).anchor.keys
  const keys = used.map((keyId) => {
    const key = known?.get(keyId)
    if (key === undefined)
      return html`<p class="lack">Key <code>${keyId}</code> is no longer in the trust anchor of the product.</p>`
    const {pem} = formatPublicKey(key.publicKey)
    return command(
      `write ${pemName(keyId)}`,
      `cat > ${pemName(keyId)} <<'KEY'\n${pem.trimEnd()}\nKEY`,
    )
  })
  return html`<p>Write the public key to a file, then open the signature of an artifact above and run its commands beside the downloaded file. They need OpenSSL 3 and coreutils, not rel. Compare the key with one that you had from elsewhere: this page cannot vouch for itself.</p>${keys}`
}

export type RecallForm = Partial<TypedRecall> & {readonly wrong?: RecallFlaws}

/** What a recall does, and its form. */
export function recallMain(
  session: Session,
  {product, version, channel}: StoredRelease,
  form: RecallForm,
): Html {
  const href = releaseHref(product, version)
  const {wrong = {}} = form
  return html`<h1>Recall ${product} ${version}?</h1>
<p>From now on no licence is offered ${version} on ${channel}, and downloads of it are refused. Nodes that run it keep running it. <strong>There is no undo:</strong> the number ${version} is burnt and cannot be published again.</p>
<form class="sheet" method="post" action="${href}/recall">${csrfField(session)}
${field({name: 'reason', label: 'Reason', hint: 'For people of this panel; licence holders do not see it.', required: true, ...valued(form.reason, wrong.reason)})}
${field({name: 'advisory', label: 'Advisory', hint: 'Where more is written: an address or an id.', ...valued(form.advisory, wrong.advisory)})}
${field({name: 'replacement', label: 'Replacement', hint: 'The version that is told to those who ask for this one.', maxLength: 256, ...valued(form.replacement, wrong.replacement)})}
${decision(`Recall ${version}`, true, {text: 'Keep it', href})}</form>`
}

/** The value and flaw of a field as they are, or not at all. */
export function valued(
  value: string | undefined,
  wrong: string | undefined,
): {value?: string; wrong?: string} {
  return {...(value === undefined ? {} : {value}), ...(wrong === undefined ? {} : {wrong})}
}
