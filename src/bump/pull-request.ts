import type {GateResult} from '../gates/gate.ts'
import {quoteUpstreamText} from '../upstream/changelog.ts'
import type {BumpEvidence} from './evidence.ts'

/** GitHub takes 65,536 characters; the rest is for what a merge queue or a bot adds. */
export const MAX_BODY_CHARS = 60_000

/** What the changelog gets at least, when everything else has to share the rest. */
const MIN_EXCERPT_CHARS = 4_000

/** Characters of one section when the whole does not fit otherwise; seven lists have rows. */
const SECTION_CHARS = 6_000

/**
 * The body of a pull request as Markdown, a pure function of the evidence: the same evidence gives
 * the same bytes, at most MAX_BODY_CHARS. The changelog is cut first, rows only when that was not
 * enough, and both say so. No text of upstream mentions, closes, links, loads or imitates anything.
 */
export function pullRequestBody(evidence: BumpEvidence): string {
  const whole = sectionsOf(evidence, Number.POSITIVE_INFINITY)
  const isFitting = whole.length <= MAX_BODY_CHARS - MIN_EXCERPT_CHARS
  const body = isFitting ? whole : sectionsOf(evidence, SECTION_CHARS)
  return `${body}${excerptOf(evidence, MAX_BODY_CHARS - body.length)}`
}

function excerptOf({changelog = '', old, new: next}: BumpEvidence, room: number): string {
  if (changelog.trim() === '') return ''
  const heading = `\n## Changelog of upstream\n\nQuoted from upstream as plain text, for ${plain(next, 100)} after ${plain(old, 100)}.\n\n`
  return `${heading}${quoteUpstreamText(changelog, room - heading.length - 1)}\n`
}

function sectionsOf(evidence: BumpEvidence, maxChars: number): string {
  const sections = [
    overview(evidence),
    notices(evidence, maxChars),
    verification(evidence, maxChars),
    files(evidence, maxChars),
    gates(evidence, maxChars),
    rollback(evidence, maxChars),
    exceptions(evidence, maxChars),
  ]
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}

/** A size as people read it, and to the byte. */
function sizeOf(bytes: number): string {
  const exact = `${bytes.toLocaleString('en-US')} B`
  return bytes < 1024 * 1024 ? exact : `${(bytes / (1024 * 1024)).toFixed(1)} MiB (${exact})`
}

function overview(evidence: BumpEvidence): string {
  const {item, title, old, new: next, level, minimum, candidate, signOff, diffs} = evidence
  const pins = diffs.map(({path, line}) => code(line === undefined ? path : `${path}:${line}`))
  const what = `**${plain(title)}** (${code(item)})`
  const places = pins.slice(0, 8).join(', ')
  return [
    old === next
      ? `Locks ${what} at ${code(old)}, as it is pinned, in ${places}.`
      : `Moves ${what} from ${code(old)} to ${code(next)} in ${places}.`,
    '',
    `- Integrity: **${level}** was reached, **${minimum}** is the minimum of the playbook.`,
    `- Upstream: tag ${code(candidate.tag)}${candidate.commit === undefined ? '' : `, commit ${code(candidate.commit)}`}`,
    signOff === undefined
      ? '- Signed off: by nobody.'
      : `- Signed off: by ${code(signOff.by)}, key ${code(signOff.keyId)}, over evidence ${code(`sha256:${signOff.evidenceSha256}`)}.`,
  ].join('\n')
}

function notices({advisories, breaking}: BumpEvidence, maxChars: number): string {
  const rows = [
    ...advisories.map((id) => `- Advisory: ${code(id)}`),
    ...breaking.map((line) => `- Breaking: ${plain(line)}`),
  ]
  const none = 'The changelog names no advisory and no breaking change.'
  return section('Advisories and breaking changes', '', rows, maxChars, none)
}

function verification({facts}: BumpEvidence, maxChars: number): string {
  const rows = facts.map(({subject, check, by, level, detail}) =>
    row([code(subject), plain(check), plain(by), level, plain(detail)]),
  )
  const head = table(['What', 'How', 'By whom', 'Level', 'Seen'])
  return section('Verification', head, rows, maxChars, 'Nothing was compared.')
}

function files({assets, rollback: back}: BumpEvidence, maxChars: number): string {
  const rows = [
    ...back.assets.map(({name, arch, sha256, size}) =>
      row(['old', code(name), code(arch), code(sha256), sizeOf(size), '']),
    ),
    ...back.artifacts.map(({path, sha256}) =>
      row(['old, vendored', code(path), '', code(sha256), '', '']),
    ),
    ...assets.map(({name, arch, sha256, size, level}) =>
      row(['new', code(name), code(arch), code(sha256), sizeOf(size), level]),
    ),
  ]
  const head = table(['', 'File', 'Architecture', 'SHA-256', 'Size', 'Level'])
  return section('Files', head, rows, maxChars, 'No file was fetched.')
}

function gates({gates: results}: BumpEvidence, maxChars: number): string {
  const none = 'The playbook has no gates.'
  return section('Gates', '', results.flatMap(gateRows), maxChars, none)
}

function gateRows({gate, verdict, code: why, summary, caveats, logs}: GateResult): string[] {
  const reason = why === undefined ? '' : ` (${code(why)})`
  return [
    `- **${verdict.replaceAll('_', ' ')}**${reason} ${code(gate)}: ${plain(summary)}`,
    ...caveats.map((caveat) => `  - Not proved: ${plain(caveat, Number.POSITIVE_INFINITY)}`),
    ...logs.map(({path, sha256}) => `  - Log ${code(path)}, sha256 ${code(sha256)}`),
  ]
}

function rollback({rollback: back}: BumpEvidence, maxChars: number): string {
  const {commands, notes, tried, tree} = back
  const [kept, left] = fitted(commands.map(visible), maxChars)
  return [
    '## Rollback',
    '',
    ...fenced(kept),
    ...left,
    '',
    `Brings back tree ${code(tree)}.`,
    ...(notes === undefined ? [] : ['', plain(notes)]),
    '',
    ...(tried === undefined ? ['It was not tried yet.'] : fitted(gateRows(tried), maxChars).flat()),
  ].join('\n')
}

/** CommonMark 4.5: a fence is closed by one at least as long. */
function fenced(lines: readonly string[]): string[] {
  const runs = lines.join('\n').match(/`+/g) ?? []
  const fence = '`'.repeat(Math.max(3, ...runs.map(({length}) => length + 1)))
  return [`${fence}sh`, ...lines, fence]
}

function exceptions({waivers, warnings}: BumpEvidence, maxChars: number): string {
  const rows = [
    ...waivers.map(({gate, reason, by, expires}) => {
      return `- Waived: ${code(gate)} by ${code(by)} until ${dayOf(expires)}: ${plain(reason)}`
    }),
    ...warnings.map((warning) => `- Warning: ${plain(warning)}`),
  ]
  return section('Waivers and warnings', '', rows, maxChars, 'None.')
}

function dayOf(secs: number): string {
  const ms = secs * 1000
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString().slice(0, 10) : code(String(secs))
}

function section(
  title: string,
  head: string,
  rows: readonly string[],
  maxChars: number,
  none: string,
): string {
  if (rows.length === 0) return `## ${title}\n\n${none}`
  const [kept, left] = fitted(rows, maxChars)
  return [`## ${title}`, '', ...(head === '' ? [] : [head]), ...kept, ...left].join('\n')
}

/** As many rows as fit, and the note that others do not. */
function fitted(rows: readonly string[], maxChars: number): [readonly string[], string[]] {
  let length = 0
  const end = rows.findIndex((text) => {
    length += text.length + 1
    return length > maxChars
  })
  if (end === -1) return [rows, []]
  return [rows.slice(0, end), ['', `*(cut: ${rows.length - end} of ${rows.length} rows left out)*`]]
}

function table(names: readonly string[]): string {
  return [row(names), row(names.map(() => '---'))].join('\n')
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

/** One line of anybody's text without power over the page, of at most `maxChars` of its own. */
function plain(text: string, maxChars = 500): string {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  const cut = line.length > maxChars ? `${line.slice(0, maxChars)}…` : line
  // quoteUpstreamText decides what is harmless; it quotes one line as "> …"
  return quoteUpstreamText(cut, Number.POSITIVE_INFINITY).slice(2)
}

/** A code span, or plain text for what could end the span or the table cell it is in. */
function code(text: string): string {
  return /^[\x21-\x7e\u2192](?:[\x20-\x7e\u2192]{0,298}[\x21-\x7e])?$/.test(text) &&
    !/[`|\\]/.test(text)
    ? `\`${text}\``
    : plain(text, 300)
}

/** A command as it is, but for what steers a terminal or hides: that is written out. */
function visible(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (sign) => {
    return `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`
  })
}
