import {join} from 'node:path'
import {type Subject, shell} from './measure.ts'
import type {Row} from './rows.ts'

const programs = join(import.meta.dirname, 'programs')

function program(name: string, words = '', before?: string): Subject {
  const label = `node test/bench/programs/${name} ${words}`.trim()
  const command = `${process.execPath} ${join(programs, name)} ${words}`.trim()
  return before === undefined ? {label, command} : {label, command, before}
}

/** What a bump costs: metadata of an archive, requests, memory of a download. */
export function bumpRows(): Row[] {
  return [packagesRow(), ...requestRows(), memoryRow()]
}

function packagesRow(): Row {
  const stock = 'gunzip -c Packages.gz | sha256sum'
  return {
    group: 'bump',
    title: 'verify Packages.gz of Debian main (49 MB)',
    goal: 2,
    unit: 'CPU',
    needs: ['packages'],
    programs: ['gunzip', 'sha256sum'],
    rounds: 9,
    ours: program('read-packages.ts'),
    theirs: {label: stock, command: stock},
  }
}

/** Counted at the imitation, not timed. */
function requestRows(): Row[] {
  const ours = {...program('bump-requests.ts'), label: 'rel bump plan traefik NEW=v3.3.5'}
  const count = (folder: string) =>
    JSON.parse(shell(ours.command, folder)) as Record<
      'cold' | 'warm',
      {readonly apiCalls: number; readonly assetBytes: number}
    >
  const base = {group: 'bump', needs: ['rel'], programs: ['git'], rounds: 1, ours} as const
  const imitation = {label: 'an imitation of GitHub', command: 'true'}
  const row = {...base, theirs: imitation}
  return [
    {
      ...row,
      title: 'plan of Traefik, nothing kept',
      goal: 4,
      unit: 'API calls',
      figure: (folder) => count(folder).cold.apiCalls,
    },
    {
      ...row,
      title: 'the same plan again, assets fetched',
      goal: 0,
      unit: 'bytes',
      figure: (folder) => count(folder).warm.assetBytes,
    },
  ]
}

/** The largest resident set of 1 GiB against that of 64 MiB: what grows with the file. */
function memoryRow(): Row {
  const clean = 'rm -rf downloads'
  return {
    group: 'bump',
    title: 'download of 1 GiB to disk with its digest',
    goal: 32,
    unit: 'MiB more',
    needs: ['origin'],
    programs: [],
    rounds: 3,
    ours: program('download.ts', `${2 ** 30}`, clean),
    theirs: program('download.ts', `${2 ** 26}`, clean),
  }
}
