import {type ProbeReport, readSentinel} from './boot-probe.ts'

/** What a line of the serial console means; the line is kept for the report. */
export type BootSign =
  | {readonly sign: 'probe'; readonly report: ProbeReport}
  | {readonly sign: 'forged' | 'panic' | 'oops' | 'no_init'; readonly line: string}
  | {readonly sign: 'banner'; readonly release: string}

/** In this order: a missing init ends in a panic, an oops may. */
const signs: readonly (readonly ['no_init' | 'panic' | 'oops', RegExp])[] = [
  ['no_init', /No working init found|Unable to mount root fs|Failed to execute \/rel-probe\/init/],
  ['no_init', /Requested init \S+ failed|Initramfs unpacking failed/],
  ['panic', /Kernel panic - not syncing/],
  [
    'oops',
    /Internal error: |Unable to handle kernel |kernel BUG at |\bBUG: (?!workqueue lockup)|\bOops: /,
  ],
]

/** A console that never ends its line must not fill memory; no sentinel is this long. */
const MAX_LINE = 16 * 1024

/** Turns the bytes of a serial console into signs, line by line. */
export class BootWatch {
  readonly #nonce: string
  #rest = ''

  constructor(nonce: string) {
    this.#nonce = nonce
  }

  /** The signs of the lines that these bytes complete. */
  take(bytes: Uint8Array): BootSign[] {
    const lines = (this.#rest + Buffer.from(bytes).toString('latin1')).split(/[\r\n]+/)
    this.#rest = (lines.pop() ?? '').slice(-MAX_LINE)
    return lines.flatMap((line) => signOf(line, this.#nonce) ?? [])
  }
}

/** What one line means, if anything. */
export function signOf(line: string, nonce: string): BootSign | undefined {
  const sentinel = readSentinel(line, nonce)
  if (sentinel === 'forged') return {sign: 'forged', line: shown(line)}
  if (sentinel !== undefined) return {sign: 'probe', report: sentinel}
  const [sign] = signs.find(([, pattern]) => pattern.test(line)) ?? []
  if (sign !== undefined) return {sign, line: shown(line)}
  const [, release] = /\bLinux version ([\w.+~-]{1,128}) \(/.exec(line) ?? []
  return release === undefined ? undefined : {sign: 'banner', release}
}

/** A guest chooses these words: short, and without terminal escapes. */
function shown(line: string): string {
  const plain = line.replace(/[^\x20-\x7e]+/g, ' ').trim()
  return plain.length > 200 ? `${plain.slice(0, 200)}…` : plain
}
