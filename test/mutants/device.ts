// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of sources
import {faults, type Mutant} from './mutant.ts'

/** What a node decides, taken wrongly once. */
export const deviceMutants: readonly Mutant[] = [
  ...faults(
    'device/stage.ts',
    ['unit/device/degraded'],
    [
      [
        'a degraded node is staged on by itself',
        `resume(device)
  checkNotDegraded(records.record.state, options.isUnattended)
`,
        `resume(device)
`,
      ],
    ],
  ),
  ...faults(
    'device/stage.ts',
    ['unit/device/flows'],
    [
      [
        'the policy is not asked before staging',
        `if (options.isUnattended) checkUnattended(device.config.policy, 'stage')
  const records = await resume`,
        'const records = await resume',
      ],
    ],
  ),
  ...faults(
    'device/stage.ts',
    ['faults/device-panel'],
    [
      [
        'another version than was promised is staged',
        `for (const name of ['version', 'channel'] as const)`,
        `for (const name of ['channel'] as const)`,
      ],
      [
        'a clock that was set back stages',
        `  checkClock(device)
  return (verified)`,
        '  return (verified)',
      ],
      ['the licence of the node opens everything', 'checkLicensed(device, {', 'void ({'],
    ],
  ),
  ...faults(
    'device/stage.ts',
    ['unit/device/promises'],
    [
      [
        'another channel than was promised is staged',
        `for (const name of ['version', 'channel'] as const)`,
        `for (const name of ['version'] as const)`,
      ],
    ],
  ),
  ...faults(
    'device/stage.ts',
    ['unit/device/grants'],
    [
      [
        'a grant is remembered after what it lets in',
        `const recorded = options.grant && useGrant(device, records, options.grant, slot)
    const staged = advance(device, records, 'staged', {candidate: slot})`,
        `const staged = advance(device, records, 'staged', {candidate: slot})
    const recorded = options.grant && useGrant(device, records, options.grant, slot)`,
      ],
      [
        'a grant is not checked before it is used',
        'if (grant !== undefined) checkGrantFor',
        'if (false) checkGrantFor',
      ],
    ],
  ),
  ...faults(
    'device/profile.ts',
    ['unit/device/program'],
    [
      [
        'a foreign program is written over',
        'there === undefined || there === digest',
        'there !== "" || there === digest',
      ],
      [
        'a way back with other bytes is one',
        '&& isBackup(device, digest)',
        '&& isBackup(device, digest) !== undefined',
      ],
    ],
  ),
  ...faults(
    'device/profile.ts',
    ['faults/device-crash-model'],
    [
      [
        'current is swapped before previous',
        `    swapLink(world.fs, paths.previous, versionPath(from.version))
    swapLink(world.fs, paths.current, versionPath(to.version))`,
        `    swapLink(world.fs, paths.current, versionPath(to.version))
    swapLink(world.fs, paths.previous, versionPath(from.version))`,
      ],
    ],
  ),
  ...faults(
    'device/panel-source.ts',
    ['faults/device-panel'],
    [
      [
        'a log that is not shown has grown',
        `if (answer.status === 404)
    throw new RelError('upgrade_source_rewound'`,
        `if (answer.status === 404) return
  if (answer.status === 403)
    throw new RelError('upgrade_source_rewound'`,
      ],
      [
        'another version than an operator named',
        'if (file.release.version !== version)',
        'if (false)',
      ],
      ['a hint may be a path', 'if (available && !isSafeVersion(version))', 'if (false)'],
      [
        'a panel that never spoke is never stale',
        `.length === 0) return undefined
  return records`,
        `.length >= 0) return undefined
  return records`,
      ],
      [
        'a renewal is asked for once it is too late',
        'RENEW_SECS = 7 * 86_400',
        'RENEW_SECS = -7 * 86_400',
      ],
    ],
  ),
  ...faults(
    'device/github-source.ts',
    ['e2e/device-github'],
    [
      [
        'a tag with another release under it',
        'release !== undefined && release.tag !== tag',
        'release === null',
      ],
      [
        'what GitHub says of an asset is not compared',
        `    checkUnchanged(found, whole)
`,
        '',
      ],
      [
        'a token goes over the wire in the clear',
        `protocol === 'https:' || [`,
        `protocol !== 'ftp:' || [`,
      ],
      [
        'a stop-over is passed',
        'compareVersions(question.running, minFrom) >= 0',
        'compareVersions(question.running, minFrom) !== 0',
      ],
      [
        'the time of a release is not remembered',
        `    await noteTime(device, release.timestamp)
`,
        '',
      ],
    ],
  ),
  ...faults(
    'device/directory-source.ts',
    ['unit/device/directory-source'],
    [
      [
        'a bundle is offered to one program',
        `if (isProgram && found.kind !== 'release') continue`,
        '',
      ],
      [
        'every channel is open',
        'if (channel === undefined || !channels.includes(channel)) return false',
        '',
      ],
      [
        'a stop-over is passed',
        'return minFrom === undefined || compareVersions(running, minFrom) >= 0',
        'return true',
      ],
      [
        'the time of a bundle is not remembered',
        `  await noteTime(device, manifest.timestamp)
`,
        '',
      ],
      ['the first refusal is all there is', 'refusal ??= known', 'throw known'],
    ],
  ),
  ...faults(
    'device/download.ts',
    ['faults/device-download'],
    [
      [
        'a part that is too long is gone on with',
        `if (there > size) this.#restart(undefined)
    else`,
        '',
      ],
      [
        'a source is asked again before the time it gave',
        `        if (known.details?.retry_at !== undefined) throw failed(error)
`,
        '',
      ],
      [
        'another announced size is taken',
        'if (total !== undefined && size !== undefined && total !== size)',
        'if (false)',
      ],
      [
        'a damaged part of an earlier process is an end',
        `if (wasResumed) throw new RelError(error.code, error.message, {details: {again: true}})
`,
        '',
      ],
      [
        'a slow source is waited for without end',
        'if (this.#windowBytes < (minBytesPerSec * windowMs) / 1000)',
        'if (false)',
      ],
    ],
  ),
  ...faults(
    'device/download-rules.ts',
    ['unit/device/source-rules'],
    [
      ['once the size must be free', 'needed = 3 * size - there', 'needed = size - there'],
      ['a disk without inodes has room', ' && free.files >= FILES_NEEDED', ''],
      ['refusals of the future count', 'time <= now && ', ''],
      [
        'it is asked for once more',
        'recent.length < MAX_REFUSALS',
        'recent.length <= MAX_REFUSALS',
      ],
      ['a part that nobody asked for is taken', `if (part.size === 0) return {act: 'refuse'}`, ''],
    ],
  ),
  ...faults(
    'device/download-rules.ts',
    ['faults/device-download'],
    [
      [
        'a compressed answer is the whole',
        `status === 200 && encoding === 'identity'`,
        'status === 200',
      ],
    ],
  ),
  ...faults(
    'device/license-gate.ts',
    ['unit/device/times'],
    [
      [
        'a slow clock opens what came after the licence',
        'Math.max(trustedNow(device), facts.signed)',
        'trustedNow(device)',
      ],
    ],
  ),
  ...faults(
    'device/license-gate.ts',
    ['faults/device-panel'],
    [
      [
        'without a licence a panel is asked all the same',
        `if (config.source?.kind !== 'panel') return undefined`,
        'if (config.source !== null) return undefined',
      ],
    ],
  ),
  ...faults(
    'device/license-rules.ts',
    ['unit/device/times'],
    [
      [
        'a licence lives a second longer',
        'if (now < expires) return',
        'if (now <= expires) return',
      ],
      [
        'every component is covered',
        'component !== undefined && !coversComponent',
        'component === "" && !coversComponent',
      ],
    ],
  ),
  ...faults(
    'device/clock-mark.ts',
    ['faults/device-hostile'],
    [
      [
        'no clock may be behind at all',
        'if (now >= mark - TOLERANCE_SECS) return',
        'if (now >= mark) return',
      ],
    ],
  ),
  ...faults(
    'device/clock-mark.ts',
    ['unit/device/times'],
    [
      ['a time of the future stops a node', 'signed <= world.now() + SKEW_SECS && ', ''],
      ['an older time lowers the mark', ' && signed > clockMark(root)', ''],
    ],
  ),
  ...faults(
    'device/clock-mark.ts',
    ['faults/device-panel'],
    [
      [
        'a clock set back makes expired things good',
        'return Math.max(world.now(), clockMark(root))',
        'return world.now()',
      ],
    ],
  ),
  ...faults(
    'device/grant.ts',
    ['unit/device/grants'],
    [
      [
        'a grant lives a second longer',
        'facts.now > grant.notAfter',
        'facts.now > grant.notAfter + 1',
      ],
      [
        'a grant ends a second earlier',
        'facts.now > grant.notAfter',
        'facts.now >= grant.notAfter',
      ],
      ['a node is named twice', `(names[at - 1] ?? '') >= name`, `(names[at - 1] ?? '') > name`],
      [
        'what was forgotten is taken again',
        'next.notAfter <= memory.forgottenUntil',
        'next.notAfter < memory.forgottenUntil',
      ],
      ['a grant opens a second bundle of its version', ' && before.digest === next.digest', ''],
      ['a used grant is taken again', 'before.seq === next.seq && ', ''],
      [
        'a grant that is still good is forgotten',
        'first === undefined || first.notAfter >= now',
        'first === undefined',
      ],
      [
        'a revoked grant counts',
        `    checkDigest(anchor, sha256Hex(canonical))
`,
        '',
      ],
      [
        'keys of another channel sign grants',
        `{product: grant.product, channel, now})
    checkSignatures('rollback'`,
        `{product: grant.product, channel: 'stable', now})
    checkSignatures('rollback'`,
      ],
      [
        'a grant has a key that nobody knows',
        'if (Object.keys(json).some((key) => !keys.includes(key)))',
        'if (false)',
      ],
    ],
  ),
  ...faults(
    'device/grant-memory.ts',
    ['unit/device/grants'],
    [
      ['state files that were put back let a grant in again', 'seq: _, ...', '...'],
      [
        'a grant lets in from any version',
        `    over.from === record.running.version &&
`,
        '',
      ],
      [
        'a staged version outlives its grant',
        ` &&
    trustedNow(device) <= over.notAfter`,
        '',
      ],
      [
        'a clock set back makes a grant good again',
        `  checkClock(device)
`,
        '',
      ],
      [
        'a memory with an unknown key is one',
        `if (Object.keys(rest).length > 0) throw corrupt()
`,
        '',
      ],
    ],
  ),
  ...faults(
    'device/freshness.ts',
    ['faults/device-panel'],
    [
      ['a statement is on any release', ' || fresh.digest !== digest)', ')'],
      ['a statement is on any product', 'product !== release.product || ', ''],
      ['a statement is for any track', 'body.track !== asked.track || ', ''],
      ['a statement is for any node', ' || body.current !== asked.current', ''],
      ['one of the channels is enough', '...asked.channels].every(', '...asked.channels].some('],
      ['a statement never ends', 'if (fresh.expires - fresh.issued > MAX_LIFE_SECS)', 'if (false)'],
      [
        'a statement ends before it begins',
        'if (fresh.expires <= fresh.issued)',
        'if (fresh.expires < fresh.issued - 1)',
      ],
      ['a statement comes from the future', 'if (fresh.issued > now + SKEW_SECS)', 'if (false)'],
      [
        'a log of the same size may be another',
        'size === before.size && root === before.root',
        'size === before.size',
      ],
    ],
  ),
  ...faults(
    'device/freshness.ts',
    ['unit/device/seen'],
    [
      [
        'a log may shrink',
        'before === undefined || size > before.size',
        'before === undefined || size !== before.size',
      ],
      ['a statement holds a second longer', 'now >= fresh.expires ?', 'now > fresh.expires ?'],
      [
        'a revoked key says what is fresh',
        'return ids.filter((id) => !isRevoked(id))',
        'return ids',
      ],
    ],
  ),
  ...faults(
    'device/seen.ts',
    ['faults/device-panel'],
    [
      [
        'what only a stolen key has signed is kept',
        `if (size !== undefined && !ids.some((id) => known.includes(id))) return {source}
`,
        '',
      ],
      [
        'times of signing are not remembered',
        'for (const time of signed) raiseMark(device, time)',
        '',
      ],
    ],
  ),
  ...faults(
    'device/seen.ts',
    ['unit/device/seen'],
    [
      ['another panel has the memory of this one', ' || json.source !== source', ''],
      [
        'what was heard meanwhile is written over',
        ' && textJson(loadSeen(root, seen.source)) === textJson(before)',
        '',
      ],
      [
        'half a memory is one',
        `bad(schema !== 1)
`,
        '',
      ],
    ],
  ),
  ...faults(
    'device/health.ts',
    ['cli/device'],
    [
      [
        'what the guard took back is asked on',
        `if (isTakenBack()) return 'the guard took it back'
`,
        '',
      ],
      ['one question takes the whole window', 'Math.min(QUESTION_SECS, left)', 'left + 3600'],
      [
        'the health command does not know its version',
        '{env: {REL_VERSION: version}, stop}',
        '{stop}',
      ],
      [
        'a health command may fail',
        'return exit === 0 ? undefined',
        'return exit !== 2 ? undefined',
      ],
    ],
  ),
  ...faults(
    'device/health.ts',
    ['faults/device-locks'],
    [
      [
        'what was cut short is an answer',
        `reject(new RelError('interrupted', 'a program was stopped'))`,
        'resolve(how)',
      ],
    ],
  ),
  ...faults(
    'device/health-rules.ts',
    ['cli/device'],
    [
      ['a full disk is healthy', 'value < limit', 'value <= limit'],
      ['less than nothing is healthy', 'value >= 0 && ', ''],
    ],
  ),
  ...faults(
    'device/health-rules.ts',
    ['unit/device/process-health'],
    [['1.1.0 is of 1.1.0-rc.1', 'exe.startsWith(`${folder}/`)', 'exe.startsWith(folder)']],
  ),
  ...faults(
    'device/process-health.ts',
    ['unit/device/process-health'],
    [
      [
        'a service is looked at once',
        'isWaited ? judgeSettled(first, await lookAt(unit))',
        'isWaited ? judgeSettled(first, first)',
      ],
      [
        'what cannot be looked at is healthy',
        `return 'its process cannot be looked at'`,
        'return undefined',
      ],
      ['who was not waited for is healthy', `: 'it was not waited for'`, ': undefined'],
    ],
  ),
  ...faults(
    'device/outbox.ts',
    ['unit/device/outbox'],
    [
      [
        'results wait without end',
        'waiting.length - MAX_WAITING',
        'waiting.length - 10 * MAX_WAITING',
      ],
      [
        'what a panel will never take waits for ever',
        '[400, 404, 405, 410, 422]',
        '[404, 405, 410, 422]',
      ],
      [
        'a way back is told as an update',
        'running.digest === before.running || isBack',
        'running.digest === before.running',
      ],
      [
        'two nodes of a licence send one report',
        `salt: before?.salt || randomBytes(16).toString('hex')`,
        `salt: ''`,
      ],
      [
        'the same failure is told at each poll',
        'Math.floor(device.world.now() / DAY)',
        'device.world.now()',
      ],
      ['a failed version is told again', '!before.failed.includes(digest)', 'digest !== ""'],
    ],
  ),
  ...faults(
    'device/outbox.ts',
    ['faults/device-panel'],
    [
      [
        'a report that was not taken is gone',
        'if (status >= 200 && status < 300)',
        'if (status >= 200)',
      ],
    ],
  ),
  ...faults(
    'device/refused.ts',
    ['faults/device-panel'],
    [
      ['what was refused is never asked for again', 'at > now - REMEMBERED_SECS', 'at > 0'],
      [
        'what was refused is fetched at each poll',
        'it.offer === nameOf(offer))',
        'it.offer !== nameOf(offer))',
      ],
    ],
  ),
  ...faults(
    'device/refused.ts',
    ['unit/device/refused'],
    [
      ['trouble on the way is final', '!final.includes(error.code)', 'error.code === "bug"'],
      [
        'a refusal of the future holds',
        '.filter(({at}) => at <= now && at',
        '.filter(({at}) => at',
      ],
      ['refusals are without end', 'refused.slice(-MAX_REMEMBERED)', 'refused'],
    ],
  ),
  ...faults(
    'device/verify-installed.ts',
    ['unit/device/bad-input'],
    [
      [
        'another bundle of the same version is what was recorded',
        'verified.contentSha256 === slot.digest',
        'verified.contentSha256 !== ""',
      ],
      [
        'an anchor may be a link',
        'if (statIfThere(path)?.isFile() !== true)',
        'if (statIfThere(path) === undefined)',
      ],
      ['a version may be a link', '?.isDirectory() !== true)', ' === undefined)'],
    ],
  ),
  ...faults(
    'device/verify-installed.ts',
    ['unit/device/flows'],
    [
      [
        'what has expired since cannot be gone back to',
        'slot.version, slot.verifiedAt)',
        'slot.version, Date.now() / 1000)',
      ],
      ['a bundle of any product is installed', 'expect: {product, ...', 'expect: {...'],
    ],
  ),
  ...faults(
    'device/owned.ts',
    ['unit/device/owned'],
    [
      [
        'a group may write',
        'const isOpen = (stat.mode & 0o022)',
        'const isOpen = (stat.mode & 0o002)',
      ],
      [
        'a sticky folder protects what is in it from its group',
        ' && (at === folder || (stat.mode & 0o1000) === 0)',
        ' && (stat.mode & 0o1000) === 0',
      ],
      ['folders above may be open', 'if (dirname(at) === at) return', 'return'],
    ],
  ),
  ...faults(
    'device/owned.ts',
    ['faults/device-hostile'],
    [
      [
        'a group may write to a part',
        `  if ((stat.mode & 0o022) !== 0)
`,
        `  if ((stat.mode & 0o002) !== 0)
`,
      ],
      [
        'somebody else may own a part',
        "  if (isForeign(stat))\n    throw new RelError('upgrade_layout_invalid', `${name} belongs",
        "  if (false)\n    throw new RelError('upgrade_layout_invalid', `${name} belongs",
      ],
    ],
  ),
  ...faults(
    'device/lock.ts',
    ['faults/device-locks'],
    [
      [
        'two updaters act',
        'locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE',
        'locking_mode=EXCLUSIVE; BEGIN',
      ],
      ['another process is a broken disk', '& 0xff) === BUSY', '& 0xff) === BUSY + 1'],
    ],
  ),
  ...faults(
    'device/lock.ts',
    ['faults/device-hostile'],
    [['a lock can be opened by others', 'chmodSync(path, 0o600)', 'chmodSync(path, 0o644)']],
  ),
  ...faults(
    'device/poll-rules.ts',
    ['unit/device/source-rules'],
    [
      ['a fleet polls together', 'return random * interval', 'return interval'],
      [
        'a source makes a node come sooner',
        'return Math.max(own, Math.min(MAX_ASKED_SECS, askedSecs))',
        'return askedSecs || own',
      ],
      ['a source silences a node', 'Math.min(MAX_ASKED_SECS, askedSecs)', 'askedSecs'],
      [
        'failures wait for ever longer',
        'Math.min(MAX_BACKOFF, 2 ** (failures - 1))',
        '2 ** (failures - 1)',
      ],
      ['a node that fails at once spins', 'Math.min(MIN_SECS, interval),', '0,'],
      ['polls are not spread', '(0.9 + 0.2 * random)', '1'],
    ],
  ),
  ...faults(
    'device/guard.ts',
    ['faults/device-guard'],
    [
      ['what the guard took back is committed', 'return !isTakenBack(root)', 'return true'],
      [
        'the guard keeps its attempts',
        'revertedSeen, attempts, asked, back].filter(',
        'revertedSeen].filter(',
      ],
      [
        'what was taken back is left',
        'const left = [trial, reverted, revertedSeen, attempts',
        'const left = [trial, revertedSeen, attempts',
      ],
    ],
  ),
  ...faults(
    'device/guard.ts',
    ['unit/device/trial'],
    [
      [
        'an interrupted trial is a new one to the guard',
        'idOfTrial(before, {from, to}) ?? seq',
        'seq',
      ],
    ],
  ),
  ...faults(
    'device/units.ts',
    ['cli/device-units'],
    [
      ['a path may climb', '(?!\\.{1,2}(?:\\/|$))', ''],
      ['a path may have a specifier', 'A-Za-z0-9._+@=,:~-]+)+$/', 'A-Za-z0-9._+@=,:~%-]+)+$/'],
      ['a name may be an option', ` || name.startsWith('-')`, ''],
      [
        'the folder of rel is not looked at',
        'for (const path of [root, rel, out, ...',
        'for (const path of [root, out, ...',
      ],
      [
        'every updater may look at processes of others',
        `health.kind === 'process' ?`,
        `health.kind !== 'none' ?`,
      ],
      ['every start is verified, asked for or not', 'verifyAtStart ? verify', 'true ? verify'],
      [
        'a unit of somebody else is ours',
        'return /^# (?:Written|Added) by `rel device install-unit`/.test(text)',
        'return /^#/.test(text)',
      ],
    ],
  ),
  ...faults(
    'device/config.ts',
    ['unit/device/flows'],
    [['updates are on by default', 'const {enabled = false', 'const {enabled = true']],
  ),
  ...faults(
    'device/config.ts',
    ['cli/device'],
    [
      [
        'an unknown key is nothing',
        'if (unknown !== undefined) throw invalid(`${name} has',
        'if (false) throw invalid(`${name} has',
      ],
      [
        'health is asked of another machine',
        `protocol === 'http:' && ['127`,
        `protocol === 'http:' || ['127`,
      ],
      [
        'a source has two places',
        '[panel, github, directory].filter((it) => it !== undefined).length !== 1',
        '[panel, github, directory].filter((it) => it !== undefined).length < 1',
      ],
      [
        'health has two answers',
        '[command, url, process].filter((it) => it !== undefined).length !== 1',
        '[command, url, process].filter((it) => it !== undefined).length < 1',
      ],
      [
        'an address has a password',
        '${url.username}${url.password}${url.search}${url.hash}',
        '${url.search}${url.hash}',
      ],
      [
        'a lowest version is any text',
        'if (minVersion !== undefined && !isSafeVersion(minVersion))',
        'if (false)',
      ],
      ['a trial has no attempts', 'json as number) >= least', 'json as number) >= 0'],
      [
        'a service is judged before it has settled',
        'if (windowSecs < 2 * SETTLE_SECS)',
        'if (false)',
      ],
      [
        'another spec is this one',
        'if (top.spec !== 1) throw',
        'if (top.spec === undefined) throw',
      ],
      [
        'one program may be asked for a Sigstore identity',
        'if (identity !== undefined && top.binary !== undefined)',
        'if (false)',
      ],
    ],
  ),
  ...faults(
    'device/trial.ts',
    ['unit/device/trial'],
    [
      ['guard and updater judge at once', '+ 2 * windowSecs + GRACE_SECS', '+ windowSecs'],
      ['half a trial is known', `lines.includes('end') && `, ''],
      ['a trial of another version is this one', ' && lines.includes(`to=${to}`)', ''],
      ['a path has two lines', "if (!path.includes('\\n')) return path", 'return path'],
    ],
  ),
  ...faults(
    'device/resume.ts',
    ['unit/device/flows'],
    [
      ['an attempt is not counted', 'attempts: record.attempts + 1}', 'attempts: record.attempts}'],
      ['one attempt more than allowed', 'record.attempts >= device', 'record.attempts > device'],
      [
        'a failure is committed',
        `if (reason !== undefined) return giveUp(device, records, reason)
`,
        '',
      ],
    ],
  ),
  ...faults(
    'device/resume.ts',
    ['unit/device/degraded'],
    [
      [
        'a way back that does not verify is taken',
        `  await targetOrDegraded(device, records, running, change.failed)
`,
        '',
      ],
    ],
  ),
  ...faults(
    'device/resume.ts',
    ['unit/device/bad-input'],
    [
      [
        'folders of somebody else are removed',
        'if (kept.has(version) || !isOurs(device, version)) continue',
        'if (kept.has(version)) continue',
      ],
    ],
  ),
  ...faults(
    'bundle/delta/delta-document.ts',
    ['unit/bundle/delta/delta'],
    [
      ['a delta starts from another bundle', 'if (!isEnd(from, old)) throw', 'if (false) throw'],
      ['a delta leads to another bundle', 'if (!isEnd(to, next)) throw', 'if (false) throw'],
      [
        'a delta is of any product',
        'if (product !== next.manifest.rel?.product) throw',
        'if (false) throw',
      ],
      [
        'one version has one digest',
        'version === tree.manifest.version && digest === tree.digest',
        'version === tree.manifest.version',
      ],
      ['a piece begins behind its file', 'if (fromAt + fromSize > has)', 'if (fromAt > has)'],
      [
        'a piece may end one byte behind',
        'if (fromAt + fromSize > has)',
        'if (fromAt + fromSize > has + 1)',
      ],
      [
        'the cap counts new bytes alone',
        'if (fromSize + toSize > maxBytes)',
        'if (toSize > maxBytes)',
      ],
      ['a frame has any size', 'if (size > frameBound(toSize))', 'if (false)'],
      ['pieces make up any size', `if (sum(pieces, 'toSize') !== file.size)`, 'if (false)'],
      [
        'files that no manifest names are brought',
        `  if (listed !== undefined)
`,
        `  if (false)
`,
      ],
      [
        'a file that is lacking is none',
        'else throw deltaFailed(`it lacks',
        'else if (false) throw deltaFailed(`it lacks',
      ],
      ['a piece gives nothing', 'if (toSize === 0 || size === 0)', 'if (false)'],
    ],
  ),
  ...faults(
    'bundle/delta/delta-archive.ts',
    ['unit/device/delta'],
    [
      [
        'what nobody has signed inflates without end',
        'if (this.#isUnsized && inflated > most)',
        'if (false)',
      ],
      [
        'something follows the last entry',
        'if (token !== undefined) throw',
        'if (token === null) throw',
      ],
    ],
  ),
]
