import {statSync} from 'node:fs'
import {join} from 'node:path'
import type {Subject} from './measure.ts'
import type {Row} from './rows.ts'

const DELTA = 'program.from-1.0.0.delta.tar.zst'

const sign = (version: string) =>
  `test -f program-${version}/manifest.json || ./installed/rel sign program-${version} --product program --version ${version} --key bench`
const signed = `${sign('1.0.0')}; ${sign('2.0.0')}`

function rel(words: string, before: string): Subject {
  return {label: `rel ${words}`, command: `./installed/rel ${words}`, before}
}

const packDelta = rel(
  `pack program-2.0.0 --delta-from program-1.0.0 -o ${DELTA}`,
  `${signed}; rm -f ${DELTA}`,
)
const patchFrom: Subject = {
  label: 'zstd -12 --patch-from',
  command:
    'zstd -q -f -12 --patch-from=program-1.0.0/program program-2.0.0/program -o theirs.patch',
}
const both = `${signed}; test -f ${DELTA} || ./installed/${packDelta.label}; test -f whole.tar.zst || ./installed/rel pack program-2.0.0 -o whole.tar.zst`
const node = `${both}; rm -rf node; ./installed/rel device init node --config device.json --trust trust.json --bundle program-1.0.0`
const byDelta = rel(`device stage node ${DELTA}`, node)
const byWhole = rel('device stage node whole.tar.zst', node)

/** Two lines of development of one program of 120 MB: more than releases usually change. */
export function deltaRows(): Row[] {
  const base = {group: 'delta', needs: ['rel', 'program'], programs: ['zstd'], rounds: 3} as const
  const make = {...base, ours: packDelta, theirs: patchFrom}
  const stage = {...base, ours: byDelta, theirs: byWhole}
  return [
    {...make, title: 'pack a delta', goal: 2.5, unit: 'CPU'},
    {
      ...make,
      title: 'delta, size to --patch-from',
      goal: 1,
      unit: 'size',
      figure: ratio(DELTA, 'theirs.patch'),
    },
    {
      ...stage,
      title: 'delta, size to the whole',
      goal: 0.7,
      unit: 'size',
      figure: ratio(DELTA, 'whole.tar.zst'),
    },
    {...stage, title: 'stage by a delta', goal: 1.5, unit: 'CPU'},
    {...stage, title: 'stage by a delta', goal: 160, unit: 'MiB'},
  ]
}

function ratio(ours: string, theirs: string): (folder: string) => number {
  return (folder) => statSync(join(folder, ours)).size / statSync(join(folder, theirs)).size
}
