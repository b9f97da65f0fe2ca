const CONTEXT = 3

/** A unified diff of one hunk from the first line that differs to the last; empty for equal texts. */
export function unifiedDiff(path: string, before: string | undefined, after: string): string {
  if (before === after) return ''
  const old = linesOf(before ?? '')
  const now = linesOf(after)
  const shorter = Math.min(old.length, now.length)
  let head = 0
  while (head < shorter && old[head] === now[head]) head += 1
  let tail = 0
  while (tail < shorter - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1
  const from = Math.max(0, head - CONTEXT)
  const kept = Math.min(tail, CONTEXT)
  const oldEnd = old.length - tail
  const nowEnd = now.length - tail
  return [
    `--- ${before === undefined ? '/dev/null' : `a/${path}`}\n+++ b/${path}\n`,
    `@@ -${span(from, oldEnd + kept)} +${span(from, nowEnd + kept)} @@\n`,
    ...old.slice(from, head).map((line) => marked(' ', line)),
    ...old.slice(head, oldEnd).map((line) => marked('-', line)),
    ...now.slice(head, nowEnd).map((line) => marked('+', line)),
    ...old.slice(oldEnd, oldEnd + kept).map((line) => marked(' ', line)),
  ].join('')
}

/** With their line ends, so that a last line without one is another line. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

function span(from: number, to: number): string {
  const count = to - from
  const first = count === 0 ? from : from + 1
  return count === 1 ? `${first}` : `${first},${count}`
}

function marked(mark: string, line: string): string {
  return line.endsWith('\n') ? mark + line : `${mark}${line}\n\\ No newline at end of file\n`
}
