// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of sources
import {deviceMutants} from './device.ts'
import {faults, type Mutant} from './mutant.ts'

const rules = ['unit/release/publish', 'unit/release/publish-rules']
const runs = ['e2e/publish-ends', 'faults/publish-github-rules', 'e2e/publish']
const github = ['faults/publish-github-rules', 'faults/publish-github', 'e2e/publish']
const panelPublish = ['unit/panel/publish', 'unit/panel/completeness', 'unit/panel/rights']
const agent = ['unit/panel/agent/gate', 'unit/panel/agent/routes', 'e2e/panel-instances']

/** `npm run test:mutants`: every decision of the publisher, the panel and the node, taken wrongly once. */
export const mutants: readonly Mutant[] = [
  ...faults('release/publish/github-rules.ts', rules, [
    [
      'an asset that was only begun is kept',
      `state !== 'uploaded' || size !== planned.size`,
      'size !== planned.size',
    ],
    [
      'an asset of another size is not replaced at once',
      `state !== 'uploaded' || size !== planned.size`,
      `state !== 'uploaded'`,
    ],
    [
      'other bytes of the same size are kept',
      `sha256 === planned.sha256 ? {step: 'keep'} : {step: 'replace', id}`,
      `{step: 'keep'}`,
    ],
    [
      'an asset without a digest is believed',
      `if (sha256 === undefined) return {step: 'hash', id}`,
      `if (sha256 === undefined) return {step: 'keep'}`,
    ],
    ['two releases of a tag are one', 'found.length <= 1', 'found.length <= 2'],
    ['the youngest draft stays', 'a.id - b.id)\n  return first', 'b.id - a.id)\n  return first'],
    ['a pre-release becomes the latest', 'if (isPrerelease) return false', ''],
    ['an older version becomes the latest', '.every((other)', '.some((other)'],
    ['drafts decide what is the latest', '!other.isDraft && !other', '!other'],
    ['the token goes to a foreign host', 'if (!isOwn)', 'if (!isOwn && url.port === "1")'],
    ['control characters are printed', String.raw` && !/[\u0000-\u001f\u007f]/.test(value)`, ''],
  ]),
  ...faults('release/publish/persist.ts', rules, [
    ['progress does not count', 'this.#failures = 0\n  }', '}'],
    ['it tries for ever', 'if (this.#failures >= ATTEMPTS) throw error', ''],
    ['Retry-After is not kept', `typeof retryAt === 'number'`, `typeof retryAt === 'bigint'`],
    ['it waits for hours', 'if (wait > MAX_WAIT_MS) throw error', ''],
    [
      'a refusal is tried again',
      'if (!isTransient(error)) throw error',
      'if (!(error instanceof Error)) throw error',
    ],
  ]),
  ...faults('release/publish/plan.ts', rules, [
    ['names differ by case alone', 'names.has(name.toLowerCase())', 'names.has(name)'],
    ['an asset as large as allowed is refused', 'size > publishLimits', 'size >= publishLimits'],
    ['as many as allowed are refused', 'assets.length > publish', 'assets.length >= publish'],
    [
      'the manifest is sent first',
      'order.indexOf(a.kind) - order.indexOf(b.kind)',
      'order.indexOf(b.kind) - order.indexOf(a.kind)',
    ],
    [
      'a tag is made on whatever commit there is',
      'createsTag && commit === undefined',
      'createsTag && commit === ""',
    ],
    ['attachments go to the panel', `kind === 'artifact')`, `kind !== 'manifest')`],
  ]),
  ...faults(
    'release/publish/probe.ts',
    ['unit/release/publish-probe'],
    [
      ['a licence may see too much', 'seen === undefined || !want)', 'seen === undefined)'],
      ['a licence may see too little', 'seen === undefined && !want', 'seen === undefined'],
      ['other bytes of a small file pass', 'sha256Hex(answer.body) === sha256', 'true'],
      ['other bytes of a large file pass', 'hash === sha256 && length', 'length'],
      ['another size of a large file passes', ' && length === String(size)', ''],
      ['an offer with another manifest passes', ' && seen === digest)', ')'],
      [
        'what is offered is not looked at',
        'if (sees) await checkOffer',
        'if (false) await checkOffer',
      ],
      ['a lower offer passes', 'release.version) > 0', 'release.version) < 0'],
    ],
  ),
  ...faults('release/publish/receipt.ts', rules, [
    ['the manifest is not on the panel', ` || kind === 'manifest')`, ')'],
    ['the commit of the tag is forgotten', '{tag_commit: tagCommit}', '{}'],
    ['the read-back is forgotten', ': {...checks.readBack}', ': null'],
  ]),
  ...faults('release/publish/run.ts', runs, [
    ['the end state does not count', '  checkEnd(plan, states)\n', ''],
    ['any difference is called mutable', 'differences.every(({want})', 'differences.some(({want})'],
    [
      'a tag that moved meanwhile is published',
      'if (github !== undefined) await github.checkTag()',
      '',
    ],
    [
      'what comes back from GitHub is not compared',
      'if (sha256 === planned.sha256) return',
      'if (sha256 !== "") return',
    ],
    ['a draft is read back', 'byTag === undefined || byTag.isDraft', 'byTag === undefined'],
    [
      'what one target changed is not told',
      'onPanel?.changed === true || onGitHub',
      'onPanel?.changed === true && onGitHub',
    ],
    [
      'nobody asks before the flip',
      `await step('probe-before', () => probes(plan, manifest, world, panel))`,
      `await step('probe-before', async () => [])`,
    ],
    [
      'GitHub goes first',
      `? await step('panel-publish', () => panel.publish(fence))`,
      '? undefined',
    ],
  ]),
  ...faults('release/publish/state.ts', rules, [
    [
      'another manifest on the panel passes',
      '(have.digest === plan.digest ? []',
      '(plan.digest !== "" ? []',
    ],
    [
      'a draft on the panel passes',
      `(have.state === 'published' ? [] : [of('release', 'published', have.state)]),\n    ...have.missing`,
      '[]),\n    ...have.missing',
    ],
    [
      'what the panel misses passes',
      `...have.missing.map((name) => of(name, 'uploaded', 'missing'))`,
      '',
    ],
    [
      'the pre-release mark does not count',
      `(have.state === 'draft' || release.isPrerelease === isPrerelease`,
      '(have.state.length > 0',
    ],
    ['mutable passes for immutable', 'mustBeImmutable && !release.isImmutable', 'false'],
    [
      'what nobody planned passes',
      '.filter(({name}) => !planned.has(name))',
      '.filter(() => false)',
    ],
    ['an asset only begun passes', `if (there.state !== 'uploaded') return`, 'if (false) return'],
    ['an asset of another size passes', 'if (there.size !== size) return', 'if (false) return'],
    ['an asset without a digest passes', `return 'there, without a digest'`, 'return undefined'],
    ['other bytes pass', 'there.sha256 === sha256 ? undefined : there.sha256', 'undefined'],
  ]),
  ...faults(
    'release/publish/panel-target.ts',
    ['unit/release/panel-target', 'e2e/publish'],
    [
      [
        'a blob of another size is there',
        `return answer.headers['rel-size'] === String(size)`,
        'return true',
      ],
      [
        'any 404 is an absent release',
        `if (refusal.code === 'release_unknown') return`,
        'if (true) return',
      ],
      [
        'nobody is fenced off',
        `, 'rel-fence': String(fence)},\n    })\n    const {sequence}`,
        '},\n    })\n    const {sequence}',
      ],
      ['the manifest is not named at the flip', '`"${this.#plan.digest}"`', `'*'`],
      ['a doubtful end is not waited for', 'if (isDoubtful && offset < asset.size)', 'if (false)'],
      ['a wrong offset is an end', `['upload_offset_wrong', `, '['],
      ['an upload that is gone is an end', `, 'upload_unknown']`, ']'],
      [
        'an address of any form is asked',
        String.raw`if (!/^\/v1\/uploads\/[0-9A-Z]{26}$/.test(location))`,
        'if (false)',
      ],
    ],
  ),
  ...faults('release/publish/panel-api.ts', rules, [
    [
      'a full panel is asked again',
      'error.details?.status === 507',
      'error.details?.status === 506',
    ],
    [
      'a refusal is an answer',
      'answer.status >= 200 && answer.status < 300',
      'answer.status >= 200',
    ],
    ['401 without a body has no name', 'if (status === 401)', 'if (status === 400)'],
  ]),
  ...faults('release/publish/github-target.ts', github, [
    ['a published release is filled up', '      checkPublished(this.#plan, assets)\n', ''],
    [
      'a published release with other assets is only incomplete',
      'differences.every(({have})',
      'differences.some(({have})',
    ],
    ['what nobody planned is published', 'if (foreign.length === 0) return', 'return'],
    ['something of a published release is deleted', 'if (!now.isDraft)', 'if (false)'],
    ['a renamed asset passes', 'if (made.name !== planned.name)', 'if (false)'],
    ['a draft that is not whole is published', 'if (different === undefined) return', 'return'],
    [
      'a lost reply of the flip is no change',
      'return {changed: tries > 0}',
      'return {changed: false}',
    ],
    [
      'a tag on another commit passes',
      'if (commit === undefined || at === commit) return at',
      'return at',
    ],
    [
      'an annotated tag is its own commit',
      `type === 'tag' && depth < 4`,
      `type === 'tag' && depth < 0`,
    ],
    ['a lost reply makes a second draft', 'if (there !== undefined) return there', ''],
    ['a private repository is not read back', `error.code === 'http_not_found' ||`, 'false ||'],
    ['only one page is read', 'if (entries.length < limits.pageSize) break', 'break'],
    ['a 422 is an end', 'error.details?.status === 422', 'error.details?.status === 421'],
  ]),
  ...faults(
    'release/publish/files.ts',
    ['unit/release/publish-files'],
    [
      [
        'a file that was changed is sent',
        'seen.size === size && seen.sha256 === sha256',
        'seen.size === size',
      ],
      [
        'sidecars of a sidecar name are sent twice',
        'wanted.has(name) && !own.has(name)',
        'wanted.has(name)',
      ],
    ],
  ),
  ...faults(
    'panel/agent/offer.ts',
    ['unit/panel/agent/offer'],
    [
      ['a node is offered what it has', '      key > from &&\n', '      key >= from &&\n'],
      ['a stop-over is not offered', 'key <= barrier', 'key < barrier'],
      ['the lowest direct version may not move', 'minFromKey <= from', 'minFromKey < from'],
      [
        'foreign channels bind',
        '.filter((version) => channels.includes(channelOf(version)))\n',
        '',
      ],
      [
        'a stop-over holds whoever is there',
        '.filter((key) => key > from)',
        '.filter((key) => key >= from)',
      ],
      ['stop-overs are passed', '.toSorted()[0]', '.toSorted().at(-1)'],
      ['what a node has is not told', 'key <= from)', 'key < from)'],
    ],
  ),
  ...faults(
    'panel/agent/gate.ts',
    [...agent, 'unit/panel/licenses', 'faults/panel-clock'],
    [
      [
        'a clock set back thaws',
        'Math.max(this.#latest, this.#panel.clock())',
        'this.#panel.clock()',
      ],
      ['another instance is not heard', 'known.epoch === this.#epoch &&\n', ''],
      [
        'what this panel changed is not heard',
        'known.changes === this.#panel.changes.of(known.holder.product) &&\n',
        '',
      ],
      [
        'a signature is believed for ever',
        ' &&\n      performance.now() - known.verifiedAtMs < VERIFIED_MS',
        '',
      ],
      [
        'the epoch is read once',
        'return\n    this.#asking ??=',
        'return\n    if (this.#epoch >= 0) return\n    this.#asking ??=',
      ],
      ['revoked is served', `if (standing === 'revoked')`, `if (standing === 'never')`],
      ['frozen is served', `if (standing === 'frozen')`, `if (standing === 'never')`],
      ['a licence with another track counts', ' || stored.track !== license.track', ''],
      [
        'a licence nobody registered counts',
        'product === undefined || stored === undefined)',
        'product === undefined)',
      ],
      [
        'an old file keeps its entitlements',
        'stored.serial > license.serial ?',
        'stored.serial < 0 ?',
      ],
      [
        'an old file keeps its end',
        'stored.serial >= license.serial ? stored.expires : license.expires',
        'license.expires',
      ],
      [
        'any signature is the panel’s own',
        'if (file.signatures.some(({keyid}) => keyid === own.keyId))',
        'if (file.signatures.some(() => true))',
      ],
    ],
  ),
  ...faults(
    'panel/agent/catalog.ts',
    ['unit/panel/agent/catalog', ...agent, 'unit/panel/publish'],
    [
      ['what lies below the floor is offered', ' && entry.sortKey >= floor', ''],
      ['the floor itself is below the floor', 'entry.sortKey >= floor', 'entry.sortKey > floor'],
      ['the lowest is offered', 'a.sortKey < b.sortKey ? 1 : -1', 'a.sortKey < b.sortKey ? -1 : 1'],
      ['every channel is shown', 'channels.includes(entry.channel) && ', ''],
      ['recalled is offered', `.filter(({state}) => state === 'published')`, ''],
      [
        'a change here is seen late',
        ' && changes === this.#panel.changes.of(product.name)\n',
        '\n',
      ],
      ['a new floor is not seen', 'known.product.floor === product.floor &&\n', ''],
      [
        'new stop-overs are not seen',
        ` &&\n    known.product.stopovers.join(' ') === product.stopovers.join(' ')`,
        '',
      ],
      [
        'what another instance did is never seen',
        'performance.now() - readAtMs < FRESH_MS',
        'readAtMs > 0',
      ],
      [
        'a recalled entry stays published',
        `stored.state === 'recalled' ? 'recalled' : 'published'`,
        `'published'`,
      ],
    ],
  ),
  ...faults(
    'panel/agent/conditions.ts',
    ['unit/panel/agent/conditions'],
    [
      ['a weak form is another tag', `tag.replace(/^W\\//, '')`, 'tag'],
      ['the star is no tag', `if (header.trim() === '*') return true`, ''],
      ['any If-Range fits', 'ifRange.trim() === etag', 'ifRange.trim() !== ""'],
      ['one byte too many', 'Number(last) + 1)', 'Number(last) + 2)'],
      ['a range at the end is inside', 'if (start >= size)', 'if (start > size)'],
      ['a backward range is one', 'Number(last) < start', 'Number(last) + 1 < start'],
      [
        'a suffix longer than the file is outside it',
        'Math.max(0, size - suffix)',
        'size - suffix',
      ],
      ['many overlapping ranges are answered', ' && sum > size', ' && sum > size * 9'],
    ],
  ),
  ...faults('panel/admin/flaws.ts', panelPublish, [
    [
      'the size is not compared',
      `!== artifact.size) return 'size_differs'`,
      `< 0) return 'size_differs'`,
    ],
    [
      'the bytes are not compared',
      `if (hash.digest('hex') !== artifact.sha256) return`,
      `if (hash.digest('hex') === '') return`,
    ],
    [
      'the signature is not compared',
      `check.verdict() ? undefined : 'signature_wrong'`,
      'undefined',
    ],
    [
      'damaged bytes are called present',
      `if (reason === 'size_differs' || reason === 'bytes_differ') damagedIn(blobs).add(sha256)`,
      '',
    ],
    [
      'what was mended stays damaged',
      'blobMended(blobs, sha256) // they are read again now',
      'void sha256',
    ],
    [
      'a key that does not count counts',
      'if (error instanceof RelError) return error.code',
      'if (error instanceof RelError) return undefined',
    ],
    ['what is not there is there', '!== undefined) present.add', '!== null) present.add'],
  ]),
  ...faults(
    'panel/admin/publish-release.ts',
    [...panelPublish, 'unit/panel/attacks'],
    [
      ['another manifest is published', 'if (stored.digest !== digest)', 'if (false)'],
      [
        'publishing again is a change',
        `if (stored.state === 'published') return {release: stored, changed: false}`,
        '',
      ],
      ['a manifest of another product is drafted', 'if (release.product !== name)', 'if (false)'],
      ['an unsigned draft is taken', '  checkRelease(file, anchor, panel.clock())\n', ''],
      ['a draft beside the matrix is taken', 'if (unmet.length > 0)', 'if (false)'],
      ['an incomplete release is published', 'if (flaws.length > 0)', 'if (false)'],
      ['one person is two', '!== (tokens.get(actor.id)', '=== (tokens.get(actor.id)'],
      [
        'a key that was taken away still counts',
        '  checkRelease({...file, release: {...file.release, artifacts: []}}, anchor, now)\n',
        '',
      ],
      [
        'the anchor at the flip is not compared',
        '...(product.anchor === undefined ? {} : {anchor: product.anchor}),',
        '',
      ],
      ['the fence is not shown', '...(fence === undefined ? {} : {fence}),', ''],
      ['the catalogue is told late', '  panel.changes.mark(name)\n', ''],
    ],
  ),
  ...faults(
    'release/entitlement.ts',
    ['unit/release/entitlement'],
    [
      ['a stable licence sees rc', `stable: ['stable']`, `stable: ['stable', 'rc']`],
      [
        'a pre-release licence sees stable',
        `prerelease: ['rc', 'beta']`,
        `prerelease: ['rc', 'beta', 'stable']`,
      ],
      [
        'everybody sees canary',
        `entitlements.includes('channel:canary') ?`,
        'entitlements !== undefined ?',
      ],
      ['a licence without components covers none', 'named.length === 0 || ', ''],
      ['a licence lives a second longer', 'now >= expires', 'now > expires'],
      ['a draft is shown', `if (release.state === 'draft') return`, 'if (false) return'],
      [
        'another product is shown',
        'if (release.product !== license.product) return',
        'if (false) return',
      ],
      [
        'a recalled release is visible',
        `release.state === 'recalled' ? 'recalled' : 'visible'`,
        `'visible'`,
      ],
    ],
  ),
  ...faults(
    'release/completeness.ts',
    ['unit/release/completeness'],
    [
      [
        'a slot without an artifact is filled',
        'if (filling.length === 0) return',
        'if (filling.length < 0) return',
      ],
      [
        'what is not required fills a slot',
        'filling.some(({required}) => required)',
        'filling.some(() => true)',
      ],
      ['absent bytes are present', '!present.has(sha256)', 'present.has(`!${sha256}`)'],
      ['any system fills a slot', ' && os === slot.os', ''],
      ['flaws come in any order', 'return a < b ? -1 : 1', 'return a < b ? 1 : -1'],
    ],
  ),
  ...faults(
    'bundle/version.ts',
    ['unit/release/version'],
    [
      [
        'numbers are compared as text',
        "`${String(digits.length).padStart(width, '0')}${digits}`",
        'digits',
      ],
      ['a release comes before its pre-releases', '`${release}~`', '`${release}!`'],
      [
        'words come before numbers',
        '`0${counted(identifier, 3)}` : `1',
        '`1${counted(identifier, 3)}` : `0',
      ],
      ['a word is not ended', '`1${identifier}!`', '`1${identifier}`'],
    ],
  ),
  ...faults(
    'release/version.ts',
    ['unit/release/version'],
    [
      [
        'any length is a version',
        'text.length > 256 || ',
        '',
        'semver itself takes 256 characters',
      ],
      ['beta.1.2 is a channel', ' && more.length === 0', ''],
      ['beta is a channel', '/^[0-9]+$/.test(number) && ', ''],
      [
        'a word of every object is a channel',
        'Object.hasOwn(channelByWord, word) ?',
        'word !== "" ?',
      ],
    ],
  ),
  ...faults(
    'device/state.ts',
    ['unit/device/gates', 'unit/device/flows', 'unit/device/grants'],
    [
      [
        'what is below the floor is taken',
        'compareVersions(version, floor) < 0',
        'compareVersions(version, floor) > 9',
      ],
      [
        'an older version is taken without a grant',
        'else if (!isGranted && compareVersions(version, running) < 0)',
        'else if (isGranted && compareVersions(version, running) < 0)',
      ],
      [
        'what failed is tried again',
        '!facts.isRetry && facts.failed',
        'facts.isRetry && facts.failed',
      ],
      [
        'a channel that nobody signed is open',
        'channel === undefined || !facts.allowedChannels',
        'channel !== undefined && !facts.allowedChannels',
      ],
      [
        'a step may be left out',
        'compareVersions(running, minFrom) < 0',
        'compareVersions(running, minFrom) > 0',
      ],
      [
        'the lower floor counts',
        'compareVersions(a, b) >= 0 ? a : b',
        'compareVersions(a, b) <= 0 ? a : b',
      ],
      ['by hand is unattended', "policy === 'stage' && step === 'stage'", "policy === 'stage'"],
    ],
  ),
  ...faults(
    'device/resume.ts',
    ['unit/device/flows'],
    [
      [
        'trials are without end',
        'record.attempts >= device.config.maxBootAttempts',
        'record.attempts < 0',
      ],
      [
        'a commit raises no floor',
        'const floor = higher(records.floor, candidate.version)',
        'const floor = records.floor',
      ],
      ['what failed is forgotten', 'withFailure(failed, candidate)', 'failed'],
      [
        'a rollback leaves the link',
        '!== target.version) swapBack',
        '=== target.version) swapBack',
      ],
    ],
  ),
  ...faults(
    'device/apply.ts',
    ['unit/device/flows', 'unit/device/grants'],
    [
      ['a way back that is damaged is taken', '  await checkTarget(device, target)\n', ''],
      ['what an operator went back from comes again', 'withFailure(failed, running)', 'failed'],
    ],
  ),
  ...deviceMutants,
]
