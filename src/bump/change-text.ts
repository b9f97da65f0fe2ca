import type {Playbook} from './playbook.ts'

export type Move = {readonly item: string; readonly old: string; readonly new: string}

/**
 * The subject of a bump's commit and pull request; fixed, so that people and tools find it. A pin
 * that does not move is locked.
 */
export function subjectOf({item, old, new: next}: Move): string {
  return old === next
    ? `chore(${item}): lock ${item} ${old}`
    : `chore(${item}): bump ${item} ${old} → ${next}`
}

/** True for the subject of a bump of this item, whatever the versions. */
export function isBumpSubject(subject: string, item: string): boolean {
  return ['bump', 'lock'].some((verb) => subject.startsWith(`chore(${item}): ${verb} ${item} `))
}

/** The branch that a bump makes. */
export function branchOf({change}: Playbook, move: Move): string {
  return refName(filled(change.branch, move))
}

/** The tag of a bump, or undefined when it gets none; a pin that does not move gets none. */
export function tagOf({change}: Playbook, move: Move, isCritical: boolean): string | undefined {
  if (move.old === move.new) return undefined
  const isTagged = change.tag === 'always' || (change.tag === 'critical' && isCritical)
  return isTagged ? refName(filled(change.tag_name, move)) : undefined
}

/** {item}, {old}, {new} and {number}, which is new without its v, of a template replaced. */
export function filled(template: string, {item, old, new: next}: Move): string {
  const number = next.replace(/^v/, '') // as `traefik version` prints it
  const words: Readonly<Record<string, string>> = {item, old, new: next, number}
  return template.replaceAll(/\{(item|old|new|number)\}/g, (_, word: string) => words[word] ?? '')
}

/** git-check-ref-format(1): what a version may hold and a name may not. */
function refName(text: string): string {
  return text
    .replaceAll(/[~^:?*[\\\s\p{Cc}]/gu, '-')
    .replaceAll(/\.{2,}/g, '.')
    .replace(/(\.lock|\.|\/)+$/, '')
}
