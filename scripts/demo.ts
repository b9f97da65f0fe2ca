import {showBoot} from './demo/boot.ts'
import {showBump} from './demo/bump.ts'
import {showBundle} from './demo/bundle.ts'
import {attackCount, heading, run, say} from './demo/stage.ts'

/**
 * The main jobs on real input, in seconds: rel's own package is signed, packed, verified and
 * attacked; a vendored program is bumped; a real kernel boots. Every step says what it expects and
 * fails when it is not so. Everything happens in a temporary folder that is removed at the end.
 */
async function main(): Promise<void> {
  const started = performance.now()
  say(heading('rel: sign a tree, let anyone verify it, let nothing hostile through'))
  await showBundle()
  await showBump()
  await showBoot()
  say(heading('And after all that'))
  await run('verify app --trust trust.json', 0)
  const secs = ((performance.now() - started) / 1000).toFixed(1)
  say(
    '',
    `${attackCount()} attacks, ${attackCount()} refusals, each with its own reason. ${secs} s.`,
  )
  say(...whatNext)
}

const whatNext = [
  heading('Run next'),
  '  bin/rel --help                        every command',
  '  bin/rel explain file_digest_mismatch  any of the codes above, offline',
  '  bin/rel doctor                        is this machine ready?',
  '  npm test                              the proof',
  '  README.md                             five minutes of rel, step by step',
]

await main()
