import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {
  type LoopbackArchive,
  packageOf,
  publish,
  serveArchive,
  type TestKey,
  testKey,
} from '../support/apt-archive.ts'
import {checkout} from '../support/built.ts'
import {gitEnv, personalState, sampleRepository} from '../support/bump/repository.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// playbooks/kernel.yaml with Ubuntu's lines: what the signed metadata alone must stop, in whole
// bumps. Names are those of Ubuntu noble, versions, content and key are SYNTHETIC. A kernel that is
// verified, built and booted is in test/boot/bump-kernel.test.ts, from the real archive of Debian.

type Context = {key: TestKey; keyring: string; archive: LoopbackArchive}

const test = suite<Context>('kernels of a SYNTHETIC Ubuntu archive signed by a TEST key')

test.before(async (context) => {
  context.key = await testKey()
  context.keyring = join(temporaryFolder(), 'test-keyring.gpg')
  writeFileSync(context.keyring, context.key.publicKey)
})
test.before.each(async (context) => {
  context.archive = await serveArchive()
})
test.after.each(async ({archive}) => archive.close())

type Stanza = ReturnType<typeof packageOf>

/** Image and modules of a kernel, at one version unless the modules have another. */
function kernel(release: string, version: string, modules = version): Stanza[] {
  return [
    packageOf(`linux-image-${release}`, version, `linux-modules-${release}`),
    packageOf(`linux-modules-${release}`, modules, ''),
  ]
}

const ga = [
  packageOf('linux-image-generic', '6.8.0-40.40', 'linux-image-6.8.0-40-generic, linux-firmware'),
  ...kernel('6.8.0-31-generic', '6.8.0-31.31'),
  ...kernel('6.8.0-40-generic', '6.8.0-40.40'),
]
const hwe = [
  packageOf(
    'linux-image-generic-hwe-24.04',
    '6.17.0-35.35~24.04.1',
    'linux-image-6.17.0-35-generic',
  ),
  ...kernel('6.14.0-20-generic', '6.14.0-20.20~24.04.1'),
  ...kernel('6.17.0-35-generic', '6.17.0-35.35~24.04.1'),
]

const upstream = ({archive, key, keyring}: Context, meta: string) => `upstream:
  kind: apt_kernel
  distribution: ubuntu
  arch: arm64
  meta: ${meta}
  suites: [{name: noble-updates, url: '${archive.url}/ubuntu-ports', max_age_days: 14}]
  keyring: {file: '${keyring}', fingerprints: [${key.fingerprint}]}

`

/** The shipped playbook with these suites and, if wanted, a least age. */
function playbook(context: Context, meta: string, verify: string): string {
  const text = readFileSync(join(checkout, 'playbooks/kernel.yaml'), 'utf8')
  const other = text.replace(/upstream:\n(?: .*\n)+\n/, upstream(context, meta))
  assert.is.not(other, text)
  return other.replace('  min: L3\n', `  min: L3\n${verify}`)
}

type Case = {
  readonly name: string
  readonly code: string
  readonly says: RegExp
  readonly meta?: string
  readonly old?: string
  readonly next?: string
  readonly packages?: readonly Stanza[]
  readonly verify?: string
}

const cases: readonly Case[] = [
  {
    name: 'HWE where GA is pinned',
    code: 'kernel_line_mismatch',
    says: /6\.17\.0-35-generic is of the line HWE ~24\.04 generic, .* of GA 6\.8\.0 generic/,
    next: '6.17.0-35-generic',
  },
  {
    name: 'GA where HWE is pinned',
    code: 'kernel_line_mismatch',
    says: /6\.8\.0-40-generic is of the line GA/,
    meta: 'linux-image-generic-hwe-24.04',
    old: '6.14.0-20-generic',
  },
  {
    name: 'modules of another version than the image',
    code: 'kernel_modules_mismatch',
    says: /6\.8\.0-40\.40.*6\.8\.0-40\.41/,
    packages: [...ga.slice(0, 3), ...kernel('6.8.0-40-generic', '6.8.0-40.40', '6.8.0-40.41')],
  },
  {
    name: 'an image without its modules',
    code: 'kernel_modules_mismatch',
    says: /missing/,
    packages: ga.filter(({Package}) => Package !== 'linux-modules-6.8.0-40-generic'),
  },
  {
    name: 'an image of another version than the meta package names',
    code: 'kernel_meta_unclear',
    says: /wants linux-image-6\.8\.0-40-generic 6\.8\.0-40\.39/,
    packages: [
      packageOf(
        'linux-image-generic',
        '6.8.0-40.40',
        'linux-image-6.8.0-40-generic (= 6.8.0-40.39)',
      ),
      ...ga.slice(1),
    ],
  },
  {
    name: 'an ABI that its version does not have',
    code: 'kernel_abi_mismatch',
    says: /6\.8\.0-40-generic has the package version 6\.8\.0-41\.41/,
    packages: [...ga.slice(0, 3), ...kernel('6.8.0-40-generic', '6.8.0-41.41')],
  },
  {
    name: 'a kernel that nothing signed calls old enough',
    code: 'version_too_young',
    says: /younger than 720 h/,
    verify: '  min_age_hours: 720\n',
  },
]

for (const {name, code, says, ...rest} of cases)
  test(`not bumped: ${name}`, async (context) => {
    const {meta = 'linux-image-generic', old = '6.8.0-31-generic', next = '6.8.0-40-generic'} = rest
    const {archive, key} = context
    const date = new Date(Date.now() - 86_400_000)
    const packages = {arm64: rest.packages ?? [...ga, ...hwe]}
    const noble = {suite: 'noble-updates', codename: 'noble', date, packages}
    await publish(archive, '/ubuntu-ports', noble, [key])
    const repository = sampleRepository({
      '.gitignore': 'rel.keys/\n',
      'initramfs/.gitea/workflows/build.yaml': `env:\n  KERNEL_VERSION: '${old}'\n`,
      'playbooks/kernel.yaml': playbook(context, meta, rest.verify ?? ''),
    })
    const {PATH: _, HOME: __, ...identity} = gitEnv
    const env = {...identity, XDG_CACHE_HOME: temporaryFolder()}
    const rel = (...args: readonly string[]) => runRel(args, {cwd: repository.root, env})
    const made = await rel('keys', 'new', 'engineer', '--no-passphrase', '--json')
    assert.is(made.code, 0, made.stderr)
    const before = personalState(repository)
    const signed = ['--sign-off', 'engineer', '--public-key', 'engineer', '--json']
    const {error} = documentOf(await rel('bump', 'kernel', `NEW=${next}`, ...signed))
    assert.is(error?.code, code, error?.message)
    assert.match(error?.message ?? '', says)
    assert.equal(personalState(repository), before)
    assert.not.ok(
      archive.requests.some((path) => path.includes('/pool/')),
      'nothing is fetched',
    )
  })

type Document = {readonly error?: {readonly code: string; readonly message: string}}
const documentOf = ({stdout}: Ran) => JSON.parse(stdout) as Document

test.run()
