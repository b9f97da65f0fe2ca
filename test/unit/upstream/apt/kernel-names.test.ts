import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {
  checkKernelLine,
  currentKernel,
  findKernel,
} from '../../../../src/upstream/apt/kernel-mapping.ts'
import {
  checkKernelBanner,
  checkKernelVersion,
  compareKernelReleases,
  parseKernelRelease,
} from '../../../../src/upstream/apt/kernel-names.ts'
import type {PackageEntry} from '../../../../src/upstream/apt/packages-index.ts'
import type {Distribution} from '../../../../src/upstream/apt/snapshot-id.ts'
import {throwsCode} from '../../../support/rejects.ts'

const shapes: readonly [string, string, string, string][] = [
  ['6.1.0-56-arm64', '6.1.0', '56', 'arm64'],
  ['6.1.0-56-cloud-arm64', '6.1.0', '56', 'cloud-arm64'],
  ['6.12.117+deb12-arm64', '6.12.117', '+deb12', 'arm64'],
  ['6.12.117+deb12-arm64-16k', '6.12.117', '+deb12', 'arm64-16k'],
  ['6.1.0-0.deb11.21-amd64', '6.1.0', '0.deb11.21', 'amd64'],
  ['6.8.0-31-generic', '6.8.0', '31', 'generic'],
  ['6.8.0-31-generic-64k', '6.8.0', '31', 'generic-64k'],
  ['6.8.0-1062-raspi', '6.8.0', '1062', 'raspi'],
]

for (const [text, upstream, abi, flavour] of shapes)
  test(`a kernel release: ${text}`, () => {
    assert.equal(parseKernelRelease(text), {text, upstream, abi, flavour})
  })

for (const bad of [
  '',
  '6.1',
  '6.1.0-56',
  '6.1.0-arm64',
  'v6.1.0-56-arm64',
  '6.1.0-56-arm64/..',
  '6.1.0-56-arm64\n',
  '6.1.0-56-Arm64',
  `6.1.0-56-${'a'.repeat(100)}`,
])
  test(`no kernel release: ${JSON.stringify(bad.slice(0, 30))}`, () => {
    throwsCode(() => parseKernelRelease(bad), 'upstream_version_malformed')
  })

test('releases sort by numbers', () => {
  const ascending = [
    ...['6.1.0-9-arm64', '6.1.0-56-arm64', '6.8.0-9-generic', '6.8.0-31-generic'],
    ...['6.8.0-1062-raspi', '6.12.9+deb12-arm64', '6.12.117+deb12-arm64', '6.12.117+deb13-arm64'],
  ]
  for (const [at, low] of ascending.entries())
    for (const high of ascending.slice(at + 1))
      assert.ok(compareKernelReleases(low, high) < 0, `${low} < ${high}`)
})

const fits: readonly [string, string, Distribution, boolean][] = [
  ['6.1.0-56-arm64', '6.1.192-2', 'debian', true],
  ['6.12.117+deb12-arm64', '6.12.117-1~deb12u1', 'debian', true],
  ['6.1.0-56-arm64', '6.12.117-1~deb12u1', 'debian', false],
  ['6.12.117+deb12-arm64', '6.12.116-1~deb12u1', 'debian', false],
  ['6.8.0-31-generic', '6.8.0-31.31', 'ubuntu', true],
  ['6.17.0-35-generic', '6.17.0-35.35~24.04.1', 'ubuntu', true],
  ['6.8.0-1062-raspi', '6.8.0-1062.66', 'ubuntu', true],
  ['6.8.0-31-generic', '6.8.0-310.310', 'ubuntu', false],
  ['6.8.0-31-generic', '6.11.0-31.31', 'ubuntu', false],
]

for (const [release, version, distribution, isFit] of fits)
  test(`${release} and ${version} ${isFit ? 'belong together' : 'do not'}`, () => {
    const check = () => checkKernelVersion(parseKernelRelease(release), version, distribution)
    if (isFit) check()
    else throwsCode(check, 'kernel_abi_mismatch')
  })

const banners: readonly [string, string, string, Distribution, boolean][] = [
  [
    '6.1.0-56-arm64 (d@d) (gcc) # SMP Debian 6.1.192-2 (2026)',
    '6.1.0-56-arm64',
    '6.1.192-2',
    'debian',
    true,
  ],
  [
    '6.1.0-56-arm64 (d@d) (gcc) # SMP Debian 6.1.192-21 (2026)',
    '6.1.0-56-arm64',
    '6.1.192-2',
    'debian',
    false,
  ],
  [
    '6.1.0-560-arm64 (d@d) # SMP Debian 6.1.192-2 (2026)',
    '6.1.0-56-arm64',
    '6.1.192-2',
    'debian',
    false,
  ],
  [
    '6.8.0-31-generic (b@l) (gcc) #31-Ubuntu SMP',
    '6.8.0-31-generic',
    '6.8.0-31.31',
    'ubuntu',
    true,
  ],
  [
    '6.8.0-31-generic (b@l) (gcc) #31-Ubuntu SMP',
    '6.8.0-31-generic',
    '6.8.0-31.31+1',
    'ubuntu',
    true,
  ],
  [
    '6.17.0-35-generic (b@l) #35~24.04.1-Ubuntu SMP',
    '6.17.0-35-generic',
    '6.17.0-35.35~24.04.1',
    'ubuntu',
    true,
  ],
  [
    '6.17.0-35-generic (b@l) #35-Ubuntu SMP',
    '6.17.0-35-generic',
    '6.17.0-35.35~24.04.1',
    'ubuntu',
    false,
  ],
]

for (const [banner, release, version, distribution, isFit] of banners)
  test(`an image of ${version}: ${banner.slice(-30)}`, () => {
    const check = () => checkKernelBanner(banner, release, version, distribution)
    if (isFit) check()
    else throwsCode(check, 'kernel_image_mismatch')
  })

function entry(name: string, version: string, depends = ''): PackageEntry {
  const rest = {architecture: 'arm64', filename: 'pool/a.deb', size: 1, sha256: 'ab'.repeat(32)}
  return {name, version, depends, ...rest}
}

/** Names and versions as in Debian bookworm with -security; the packages are synthetic. */
const debian = [
  entry('linux-image-arm64', '6.1.176-1', 'linux-image-6.1.0-50-arm64 (= 6.1.176-1)'),
  entry('linux-image-6.1.0-50-arm64', '6.1.176-1', 'kmod'),
  entry('linux-image-arm64', '6.1.192-2', 'linux-image-6.1.0-56-arm64 (= 6.1.192-2)'),
  entry('linux-image-6.1.0-56-arm64', '6.1.192-2', 'kmod'),
  entry('linux-image-6.1.0-9-arm64', '6.1.27-1', 'kmod'),
]

/** Names and versions as in Ubuntu noble; the packages are synthetic. */
const ubuntu = [
  entry(
    'linux-image-generic-hwe-24.04',
    '6.17.0-35.35~24.04.1',
    'linux-image-6.17.0-35-generic, linux-modules-extra-6.17.0-35-generic, linux-firmware',
  ),
  entry(
    'linux-image-6.17.0-35-generic',
    '6.17.0-35.35~24.04.1',
    'kmod, linux-modules-6.17.0-35-generic',
  ),
  entry('linux-modules-6.17.0-35-generic', '6.17.0-35.35~24.04.1'),
  entry('linux-image-generic', '6.8.0-31.31', 'linux-image-6.8.0-31-generic, linux-firmware'),
  entry('linux-image-6.8.0-31-generic', '6.8.0-31.31', 'kmod, linux-modules-6.8.0-31-generic'),
  entry('linux-modules-6.8.0-31-generic', '6.8.0-31.31'),
  entry('linux-image-raspi', '6.8.0-1062.66', 'linux-image-6.8.0-1062-raspi'),
  entry('linux-image-6.8.0-1062-raspi', '6.8.0-1062.66', 'linux-modules-6.8.0-1062-raspi'),
  entry('linux-modules-6.8.0-1062-raspi', '6.8.0-1062.66'),
]

const current: readonly [string, Distribution, readonly PackageEntry[], string, string][] = [
  ['linux-image-arm64', 'debian', debian, '6.1.0-56-arm64', '6.1.192-2'],
  ['linux-image-generic-hwe-24.04', 'ubuntu', ubuntu, '6.17.0-35-generic', '6.17.0-35.35~24.04.1'],
  ['linux-image-generic', 'ubuntu', ubuntu, '6.8.0-31-generic', '6.8.0-31.31'],
  ['linux-image-raspi', 'ubuntu', ubuntu, '6.8.0-1062-raspi', '6.8.0-1062.66'],
]

for (const [meta, distribution, packages, release, version] of current)
  test(`${meta} stands for ${release}`, () => {
    const kernel = currentKernel(packages, meta, distribution)
    assert.equal([kernel.release.text, kernel.image.version], [release, version])
    assert.is(kernel.modules?.version, distribution === 'ubuntu' ? version : undefined)
  })

test('an older kernel of the suites is found by its release', () => {
  assert.is(findKernel(debian, '6.1.0-50-arm64', 'debian').image.version, '6.1.176-1')
})

function without(name: string): PackageEntry[] {
  return ubuntu.filter((candidate) => candidate.name !== name)
}

const modules = 'linux-modules-6.8.0-31-generic'
const refused: readonly [string, readonly PackageEntry[], string, ErrorCode][] = [
  ['no meta package', ubuntu, 'linux-image-lowlatency', 'apt_package_missing'],
  [
    'no image',
    without('linux-image-6.8.0-31-generic'),
    'linux-image-generic',
    'apt_package_missing',
  ],
  ['no modules', without(modules), 'linux-image-generic', 'kernel_modules_mismatch'],
  [
    'older modules',
    [...without(modules), entry(modules, '6.8.0-31.30')],
    'linux-image-generic',
    'kernel_modules_mismatch',
  ],
  [
    'newer modules beside the right ones',
    [...ubuntu, entry(modules, '6.8.0-31.32')],
    'linux-image-generic',
    'kernel_modules_mismatch',
  ],
  [
    'a meta package without a kernel',
    [entry('linux-image-generic', '6.8.0-31.31', 'linux-firmware')],
    'linux-image-generic',
    'kernel_meta_unclear',
  ],
  [
    'a meta package with two kernels',
    [
      entry(
        'linux-image-generic',
        '6.8.0-31.31',
        'linux-image-6.8.0-31-generic | linux-image-6.8.0-30-generic',
      ),
    ],
    'linux-image-generic',
    'kernel_meta_unclear',
  ],
  [
    'another version than the meta package wants',
    [
      entry('linux-image-generic', '6.8.0-31.31', 'linux-image-6.8.0-31-generic (= 6.8.0-31.30)'),
      ...without('linux-image-generic'),
    ],
    'linux-image-generic',
    'kernel_meta_unclear',
  ],
]

for (const [name, packages, meta, code] of refused)
  test(`a mapping is refused: ${name}`, () => {
    throwsCode(() => currentKernel(packages, meta, 'ubuntu'), code)
  })

/** Other lines in the same suites, as Debian bookworm-security and Ubuntu noble-updates have them. */
const manyLines: readonly PackageEntry[] = [
  ...debian,
  entry('linux-image-6.12-arm64', '6.12.117-1~deb12u1', 'linux-image-6.12.117+deb12-arm64'),
  entry('linux-image-6.12.117+deb12-arm64', '6.12.117-1~deb12u1'),
  entry('linux-image-6.1.0-56-cloud-arm64', '6.1.192-2'),
]
const manyUbuntu: readonly PackageEntry[] = [
  ...ubuntu,
  entry('linux-image-generic-hwe-24.04', '6.8.0-31.31', 'linux-image-6.8.0-31-generic'),
  entry('linux-image-6.8.0-30-generic', '6.8.0-30.30'),
  entry('linux-image-6.14.0-20-generic', '6.14.0-20.20~24.04.1'),
  entry('linux-image-6.11.0-9-generic', '6.11.0-9.9~22.04.1'),
]

const lines: readonly [string, Distribution, string[], boolean][] = [
  ['6.1.0-56-arm64', 'debian', ['linux-image-arm64'], true],
  ['6.1.0-50-arm64', 'debian', ['linux-image-arm64'], true],
  ['6.1.0-9-arm64', 'debian', ['linux-image-arm64'], true],
  ['6.12.117+deb12-arm64', 'debian', ['linux-image-arm64'], false],
  ['6.1.0-56-cloud-arm64', 'debian', ['linux-image-arm64'], false],
  ['6.12.117+deb12-arm64', 'debian', ['linux-image-6.12-arm64'], true],
  ['6.1.0-56-arm64', 'debian', ['linux-image-6.12-arm64'], false],
  ['6.1.0-56-arm64', 'debian', ['linux-image-6.12-arm64', 'linux-image-arm64'], true],
  ['6.8.0-30-generic', 'ubuntu', ['linux-image-generic'], true],
  ['6.17.0-35-generic', 'ubuntu', ['linux-image-generic'], false],
  ['6.8.0-1062-raspi', 'ubuntu', ['linux-image-generic'], false],
  ['6.14.0-20-generic', 'ubuntu', ['linux-image-generic-hwe-24.04'], true],
  ['6.11.0-9-generic', 'ubuntu', ['linux-image-generic-hwe-24.04'], false],
  ['6.8.0-31-generic', 'ubuntu', ['linux-image-generic-hwe-24.04'], true], // of the release pocket
  ['6.8.0-30-generic', 'ubuntu', ['linux-image-generic-hwe-24.04'], false],
  ['6.8.0-30-generic', 'ubuntu', ['linux-image-generic-hwe-24.04', 'linux-image-generic'], true],
]
for (const [release, distribution, metas, isOf] of lines)
  test(`${release} is ${isOf ? '' : 'not '}of the line of ${metas.join(' or ')}`, () => {
    const packages = (distribution === 'debian' ? manyLines : manyUbuntu).filter(
      ({name}) => !name.startsWith('linux-modules-'),
    )
    const bare = packages.map((it) =>
      /image-\d+\.\d+\.\d/.test(it.name) ? {...it, depends: ''} : it,
    )
    const kernel = findKernel(bare, release, distribution)
    const check = () => checkKernelLine(bare, kernel, metas, distribution)
    if (isOf) check()
    else throwsCode(check, 'kernel_line_mismatch')
  })

test('a kernel at another version than its meta package names is refused by its release too', () => {
  const moved = [...debian, entry('linux-image-6.1.0-56-arm64', '6.1.192-3', 'kmod')]
  const kernel = findKernel(moved, '6.1.0-56-arm64', 'debian')
  const check = () => checkKernelLine(moved, kernel, ['linux-image-arm64'], 'debian')
  throwsCode(check, 'kernel_meta_unclear')
})

test('one version with two digests is refused, whatever suite has which', () => {
  const twice = [
    ...debian,
    {...entry('linux-image-6.1.0-56-arm64', '6.1.192-2', 'kmod'), sha256: 'cd'.repeat(32)},
  ]
  for (const packages of [twice, twice.toReversed()])
    throwsCode(() => findKernel(packages, '6.1.0-56-arm64', 'debian'), 'apt_package_contradiction')
  assert.is(findKernel(twice, '6.1.0-50-arm64', 'debian').image.version, '6.1.176-1')
})

test('a kernel that is not there is refused with the nearest ones', () => {
  const refusal = throwsCode(
    () => findKernel(debian, '6.1.0-57-arm64', 'debian'),
    'apt_package_missing',
  )
  assert.match(refusal.hint ?? '', /6\.1\.0-50-arm64|6\.1\.0-56-arm64/)
})

test.run()
