import type {ExitName} from '../system/codes/code.ts'

/** What each exit code says, for `rel help exit-codes` and docs/error-codes.md. */
export const exitMeanings: Readonly<Record<ExitName, string>> = {
  done: 'done',
  bug: 'a bug in rel',
  usage: 'usage or configuration',
  changed: 'changes were found (only with --exit-code)',
  verification: 'verification failed',
  unauthorised: 'not authorised',
  gate: 'a gate or a policy refused',
  notCertified: 'not certified',
  conflict: 'conflict: immutable, below the floor, already there, locked, dirty tree',
  rolledBack: 'rolled back or paused',
  upstreamMissing: 'the upstream release or asset is missing',
  notReproducible: 'two builds differ',
  local: 'this machine: disk full, tool missing, file unreadable',
  temporary: 'temporary: trying again may help',
  interrupted: 'interrupted (143 by SIGTERM, 129 by SIGHUP)',
}
