/** What a changelog says of one version, with what people must not overlook. */
export type ChangelogFacts = {
  /** The section as it came: untrusted text. */
  readonly text: string
  /** CVE-… and GHSA-… in the order of their first mention. */
  readonly advisories: readonly string[]
  /** Lines that announce a breaking change. */
  readonly breaking: readonly string[]
}

const limits = {
  /** Traefik's has 700 KiB. */
  fileChars: 4 * 1024 * 1024,
  /** A section, before it is quoted. */
  sectionChars: 200_000,
  advisories: 50,
  breakingLines: 20,
  breakingChars: 300,
} as const

/** Of a version's own words; GitHub takes 125,000, others what they like. */
export const MAX_NOTES_CHARS = limits.sectionChars

/** GitHub takes 65,536 characters of a pull request; the rest of the evidence needs room as well. */
export const MAX_QUOTED_CHARS = 60_000

/**
 * The section of one version in a CHANGELOG.md: from the first heading that names exactly this
 * version to the next heading of its level or above. Undefined when no heading does.
 */
export function changelogSection(file: string, version: string): string | undefined {
  const lines = file.slice(0, limits.fileChars).split(/\r?\n/)
  const wanted = version.replace(/^v/, '')
  const start = lines.findIndex((line) => namesVersion(line, wanted))
  const level = headingLevel(lines[start] ?? '')
  if (start === -1 || level === 0) return undefined
  const rest = lines.slice(start + 1)
  const length = rest.findIndex((line) => headingLevel(line) > 0 && headingLevel(line) <= level)
  const section = rest
    .slice(0, length === -1 ? undefined : length)
    .join('\n')
    .trim()
  return section.slice(0, limits.sectionChars)
}

/** `## [v3.3.5](…) (2025-03-31)`, `# 1.2.3`, `### Version 1.2.3 - …`; not 1.2.30 nor 1.2.3-rc1. */
function namesVersion(line: string, wanted: string): boolean {
  if (headingLevel(line) === 0) return false
  const escaped = wanted.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const before = '(?:^|[\\s[(])(?:version\\s+)?v?'
  return new RegExp(`${before}${escaped}(?![0-9A-Za-z.+-]*[0-9A-Za-z])`, 'i').test(
    line.replace(/^#+\s*/, ''),
  )
}

function headingLevel(line: string): number {
  return /^(#{1,6})\s/.exec(line)?.[1]?.length ?? 0
}

/** Advisories and breaking changes that a text names. */
export function changelogFacts(text: string): ChangelogFacts {
  const ids = text.match(/\bCVE-\d{4}-\d{4,7}\b|\bGHSA(?:-[23456789cfghjmpqrvwx]{4}){3}\b/gi) ?? []
  const advisories = [...new Set(ids.map(canonicalId))].slice(0, limits.advisories)
  const breaking = breakingLines(text.split(/\r?\n/))
    .slice(0, limits.breakingLines)
    .map((line) => line.slice(0, limits.breakingChars))
  return {text, advisories, breaking}
}

/** Lines that say so themselves, and those below a heading that does, up to the next of its level. */
function breakingLines(lines: readonly string[]): readonly string[] {
  const found: string[] = []
  let open = 0
  for (const line of lines.map((it) => it.trim())) {
    const level = titleLevel(line)
    const says = /\bbreaking\b|\bincompatible\b|^[-*\s]*\w+(?:\([^)]*\))?!:/i.test(line)
    if (level > 0 && (open === 0 || level <= open)) open = says ? level : 0
    if (says || (open > 0 && line !== '')) found.push(line)
  }
  return found
}

/** A heading, or a line in bold that stands for one, as Traefik and Kubernetes write them. */
function titleLevel(line: string): number {
  return headingLevel(line) || (/^\*\*[^*]+\*\*:?$/.test(line) ? 7 : 0)
}

function canonicalId(id: string): string {
  return /^cve/i.test(id) ? id.toUpperCase() : `GHSA${id.slice(4).toLowerCase()}`
}

/** Between @ and a name it hides the mention; drawn as nothing. */
const WORD_JOINER = '\u2060'

/** Characters that steer a terminal or reorder what people read (CVE-2021-42574). */
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/**
 * Upstream's words for a pull request: nobody is mentioned, no issue closed or linked, nothing
 * loaded, no HTML, no heading or table of ours imitated. It comes as a quotation, so that one sees
 * where it ends, of at most `maxChars` characters with a note when it was cut.
 */
export function quoteUpstreamText(text: string, maxChars = MAX_QUOTED_CHARS): string {
  const lines = text.replace(/\r\n?/g, '\n').replace(UNSEEN, '').trim().split('\n')
  const note = '> *(cut: the rest is at upstream)*'
  const quoted: string[] = []
  let length = 0
  for (const line of lines) {
    const safe = `> ${neutral(line)}`.trimEnd()
    if (length + safe.length + 1 + note.length > maxChars)
      return maxChars < note.length ? '' : [...quoted, note].join('\n')
    quoted.push(safe)
    length += safe.length + 1
  }
  return quoted.join('\n')
}

/**
 * One line without power. Every character that begins Markdown is escaped, so links become plain
 * words and images load nothing; then what GitHub and Gitea link by themselves is broken up.
 */
function neutral(line: string): string {
  return line
    .replace(/[\\`*_{}[\]()<>#+!|~$&]/g, '\\$&')
    .replace(/^(\s*)([-=:])/, '$1\\$2')
    .replace(/^(\s*\d+)\./, '$1\\.')
    .replace(/^\s{4,}|\t/g, '   ')
    .replace(/@(?=[\w-])/g, `@${WORD_JOINER}`)
    .replace(/\\([#!])(?=\d)/g, `\\$1${WORD_JOINER}`)
    .replace(/\b(GH)-(?=\d)/gi, `$1-${WORD_JOINER}`)
    .replace(/:\/\/(?=\S)/g, `:${WORD_JOINER}//`)
    .replace(/\bwww\.(?=\S)/gi, (www) => `${www.slice(0, -1)}${WORD_JOINER}.`)
    .replace(/\b[0-9a-f]{7,40}\b/gi, '`$&`') // a commit in a code span is no link, and can be copied
    .replace(/:(?=[\w+-]+:)/g, `:${WORD_JOINER}`)
}
