import {parseArgs} from 'node:util'
import {beginBoot} from './demo/boot.ts'
import {showBump} from './demo/bump.ts'
import {showBundle} from './demo/bundle.ts'
import {showNodes} from './demo/nodes.ts'
import {type Shown, showPanel, stopPanel} from './demo/panel.ts'
import {attackCount, bold, heading, say} from './demo/stage.ts'

/**
 * The main jobs on real input, in seconds: rel's own package is signed, packed, verified and
 * attacked; a vendored program is bumped; a real kernel boots; a panel publishes, and two nodes
 * update from it. Every step says what it expects and fails when it is not so. Everything happens
 * in a temporary folder that is removed at the end; with --keep the panel runs on until Ctrl-C.
 */
async function main(): Promise<void> {
  const {values} = parseArgs({options: {keep: {type: 'boolean', default: false}}})
  const started = performance.now()
  say(heading('rel: sign a tree, let anyone verify it, let nothing hostile through'))
  await showBundle()
  const showBoot = beginBoot()
  await showBump()
  await showBoot()
  const panel = await showPanel()
  await showNodes(panel)
  if (!values.keep) await stopPanel(panel)
  const secs = ((performance.now() - started) / 1000).toFixed(1)
  say(
    '',
    `${attackCount()} attacks, ${attackCount()} refusals, each with its own reason. ${secs} s.`,
  )
  if (values.keep) await keep(panel)
  else say(...whatNext)
}

/** Until Ctrl-C; then stage.ts removes everything. */
async function keep({server, url, tokenFile}: Shown): Promise<void> {
  say(
    heading('The panel runs on until Ctrl-C'),
    `  page   ${bold(url)}`,
    `  token  cat ${tokenFile}`,
  )
  await server.ended
}

const whatNext = [
  heading('Run next'),
  '  npm run demo -- --keep                the same, and the panel’s pages stay open in your browser',
  '  bin/rel --help                        every command',
  '  bin/rel explain file_digest_mismatch  any of the codes above, offline',
  '  bin/rel doctor                        is this machine ready?',
  '  npm test                              the proof',
  '  README.md                             five minutes of rel, step by step',
]

await main()
