/** What `rel doctor` looks at; collected by doctor-facts.ts. */
export type DoctorFacts = {
  readonly node: string
  readonly nodeSupported: boolean
  readonly git: GitFacts
  /** Seconds since the epoch: the machine's clock, and the newest moment known to have passed. */
  readonly clock: {readonly now: number; readonly past: number}
  readonly config: {readonly files: readonly string[]; readonly error: string | undefined}
  readonly keys: readonly {readonly path: string; readonly mode: number}[]
  readonly trust: {readonly path: string | undefined; readonly there: boolean}
  readonly ignored: boolean | undefined
  /** Programs found on PATH. */
  readonly found: ReadonlySet<string>
}

export type GitFacts =
  | {readonly state: 'no-git'}
  | {readonly state: 'outside'; readonly version: string}
  | {readonly state: 'clean' | 'dirty'; readonly version: string; readonly changes: number}

export type CheckStatus = 'ok' | 'warning' | 'error' | 'skipped'

export type Check = {
  readonly check: string
  readonly status: CheckStatus
  readonly detail: string
  /** A command or action that makes it ok. */
  readonly fix?: string
}

/** Programs that some commands need, and which. */
export const tools: readonly {readonly tool: string; readonly needs: string}[] = [
  {tool: 'openssl', needs: 'checking signatures without rel'},
  {tool: 'minisign', needs: 'checking .minisig files without rel'},
  {tool: 'ssh-keygen', needs: 'checking .sshsig files without rel'},
  {tool: 'gpgv', needs: 'a second opinion on apt archives in rel bump'},
  {tool: 'qemu-system-aarch64', needs: 'rel smoke boot'},
  {tool: 'dpkg-deb', needs: 'rel bump kernel'},
]

/** Judges the facts: pure, one line per check, in the order they are shown. */
export function judge(facts: DoctorFacts): Check[] {
  return [
    judgeNode(facts),
    judgeGit(facts.git),
    judgeClock(facts.clock),
    judgeConfig(facts.config),
    ...judgeKeys(facts.keys),
    judgeTrust(facts.trust),
    ...judgeIgnored(facts.ignored),
    ...tools.map((entry) => judgeTool(entry, facts.found)),
  ]
}

function judgeNode({node, nodeSupported}: DoctorFacts): Check {
  if (nodeSupported) return {check: 'node', status: 'ok', detail: `node ${node}`}
  const fix = 'install Node.js ^22.22.2, ^24.15.0 or >= 26'
  return {check: 'node', status: 'error', detail: `node ${node} is too old`, fix}
}

function judgeGit(git: GitFacts): Check {
  if (git.state === 'no-git')
    return {check: 'git', status: 'warning', detail: 'git not found', fix: 'install git'}
  if (git.state === 'outside')
    return {check: 'git', status: 'skipped', detail: `git ${git.version}, not in a work tree`}
  if (git.state === 'clean')
    return {check: 'git', status: 'ok', detail: `git ${git.version}, clean tree`}
  const detail = `git ${git.version}, ${git.changes} uncommitted`
  return {check: 'git', status: 'warning', detail, fix: 'git commit, or git stash'}
}

/** A clock that is behind accepts what has expired; a day's tolerance for time zones of file systems. */
const TOLERANCE_SECS = 86_400

function judgeClock({now, past}: DoctorFacts['clock']): Check {
  if (now + TOLERANCE_SECS >= past) return {check: 'clock', status: 'ok', detail: 'clock'}
  const days = Math.ceil((past - now) / 86_400)
  const detail = `the clock is ${days} days behind what has already happened here`
  return {check: 'clock', status: 'error', detail, fix: 'set the clock, for example with chrony'}
}

function judgeConfig({files, error}: DoctorFacts['config']): Check {
  if (error !== undefined)
    return {check: 'config', status: 'error', detail: error, fix: 'rel config schema'}
  if (files.length > 0) return {check: 'config', status: 'ok', detail: files.join(', ')}
  return {check: 'config', status: 'warning', detail: 'no rel.config.yaml', fix: 'rel init'}
}

function judgeKeys(keys: DoctorFacts['keys']): Check[] {
  const check = 'signing-key'
  if (keys.length === 0)
    return [{check, status: 'warning', detail: 'no signing key', fix: 'rel keys new dev'}]
  return keys.map(({path, mode}) => {
    if (isPrivate(mode)) return {check, status: 'ok', detail: path}
    const detail = `others may read ${path}`
    return {check, status: 'error', detail, fix: 'rel doctor --fix'}
  })
}

/** Permission bits of a secret key: nothing for group and others. */
export function isPrivate(mode: number): boolean {
  return (mode & 0o077) === 0
}

function judgeTrust({path, there}: DoctorFacts['trust']): Check {
  const check = 'trust-anchor'
  if (path !== undefined && there) return {check, status: 'ok', detail: path}
  const detail = path === undefined ? 'no trust anchor' : `trust anchor ${path} does not exist`
  const status = path === undefined ? 'warning' : 'error'
  return {check, status, detail, fix: 'rel trust init'}
}

function judgeIgnored(ignored: boolean | undefined): Check[] {
  if (ignored !== false) return []
  const detail = '.rel/ is not ignored by git: keys could be committed'
  return [{check: 'gitignore', status: 'error', detail, fix: 'rel doctor --fix'}]
}

function judgeTool({tool, needs}: (typeof tools)[number], found: ReadonlySet<string>): Check {
  if (found.has(tool)) return {check: 'tool', status: 'ok', detail: tool}
  return {check: 'tool', status: 'skipped', detail: `${tool} not found (only for ${needs})`}
}

const marks: Readonly<Record<CheckStatus, string>> = {
  ok: '✔',
  warning: '!',
  error: '✖',
  skipped: '-',
}

/** The report: a line per check, then the count. */
export function reportLines(checks: readonly Check[]): string[] {
  const rows = checks.map(({status, detail, fix}) => {
    return `${marks[status]} ${detail}${fix === undefined ? '' : `  → ${fix}`}`
  })
  const count = (status: CheckStatus) => checks.filter((check) => check.status === status).length
  const totals = `${count('error')} errors, ${count('warning')} warnings, ${count('skipped')} skipped`
  return [...rows, totals]
}
