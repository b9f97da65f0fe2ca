import {type Cost, measure, median, type Subject} from './measure.ts'
import type {Row} from './rows.ts'

const base = {
  group: 'device',
  needs: ['rel', 'fleet'],
  programs: ['curl', 'zstd'],
  rounds: 3,
} as const
const rel = './installed/rel device'

/** A node that runs 1.0.0 and asks the panel. */
const freshNode = (product: string): string =>
  `set -e; rm -rf node; ${rel} init node --config ${product}.json --trust trust.json --bundle ${product}-1.0.0; install -m 600 ${product}.license node/license; sync`

function update(product: string): Subject {
  return {
    label: `rel device stage node; rel device apply node (${product})`,
    command: `set -e; ${rel} stage node; ${rel} apply node`,
    before: freshNode(product),
  }
}

/** Fetched from the same panel with the same licence, unpacked, and every file compared. */
const byHand: Subject = {
  label: 'curl | zstd -d | tar x; sha256sum -c',
  command:
    'set -e; curl -sSf -H @large.header $(cat large.url) | zstd -dcq | tar x -C out; cd out; sha256sum -c --quiet ../large.sums',
  before: 'rm -rf out; mkdir out; sync',
}

/** The same, and on disk as well when it ends: what a node promises. */
const byHandSynced: Subject = {
  ...byHand,
  label: 'curl | zstd -d | tar x; sha256sum -c; sync',
  command: `${byHand.command}; sync -f .`,
}

/** What an update and the way back cost a node, whatever the size of its program. */
export function deviceRows(): Row[] {
  const large = {...base, ours: update('large')}
  const title = 'stage and apply 1 GiB in 10,000 files from a panel'
  return [
    {...large, title, goal: 1.5, unit: 'CPU', theirs: byHand},
    {...large, title, goal: 1.5, unit: 'wall', theirs: byHand},
    {...large, title, goal: 1.5, unit: 'wall', theirs: byHandSynced},
    {...large, title, goal: 32, unit: 'MiB more', theirs: update('tenth')},
    rollbackRow('large', '1 GiB in 10,000 files'),
    rollbackRow('tenth', '100 MiB in 1,000 files'),
    rollbackRow('tiny', 'one small file'),
  ]
}

/** The whole command, from its start to its end; nothing has to be restarted here. */
function rollbackRow(product: string, size: string): Row {
  const ours = rollback(product)
  return {
    ...base,
    title: `rollback to ${size}`,
    goal: 1000,
    unit: 'ms',
    programs: [],
    rounds: 0,
    ours,
    theirs: {label: 'nothing else', command: 'true'},
    figure: (folder) => {
      const costs: Cost[] = Array.from({length: 6}, () => measure(ours, folder))
      return median(costs.slice(1).map(({wallSecs}) => wallSecs * 1000))
    },
  }
}

/** A node that ran the version before, made once; its records and its link are put back each time. */
function rollback(product: string): Subject {
  const node = `back-${product}`
  const first = product === 'tiny' ? 'large-1.0.0' : `${product}-2.0.0`
  const of = product === 'tiny' ? 'large' : product
  return {
    label: `rel device rollback ${node}`,
    command: `${rel} rollback ${node}`,
    before: [
      'set -e',
      `if test ! -e ${node}`,
      `then ${rel} init ${node} --config ${of}.json --trust trust.json --bundle ${first}`,
      `install -m 600 ${of}.license ${node}/license`,
      `${rel} stage ${node} ${of}-3.0.0`,
      `${rel} apply ${node}`,
      `cp -a ${node}/.rel ${node}.kept`,
      'fi',
      `rm -rf ${node}/.rel`,
      `cp -a ${node}.kept ${node}/.rel`,
      `ln -sfn versions/3.0.0 ${node}/current`,
    ].join('\n'),
  }
}
