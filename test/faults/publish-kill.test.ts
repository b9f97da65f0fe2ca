import {spawn} from 'node:child_process'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {Slot} from '../../src/release/release.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {startPanel, type TestPanel} from '../support/panel.ts'
import type {KilledPublisher} from '../support/publish/killed-publisher.ts'
import {
  isWhole,
  publication,
  REPOSITORY,
  type ReleaseFolder,
  releaseFolder,
} from '../support/publish/publication.ts'

const CHILD = join(import.meta.dirname, '../support/publish/killed-publisher.ts')
const products = ['agent', 'gateway'] as const
const slots: readonly Slot[] = ['amd64', 'arm64'].map((arch) => ({
  component: 'agent',
  os: 'linux',
  arch,
}))

type Place = {readonly panel: TestPanel; readonly fake: FakeGitHub}

/** Runs a publisher in a process of its own until it is dead. */
function killed(told: KilledPublisher): Promise<string | null> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(told)], {stdio: 'inherit'})
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (_code, signal) => resolve(signal))
  })
}

async function stateOf({panel, fake}: Place, {release}: ReleaseFolder) {
  const {product, version} = release.file.release
  const {json} = await panel.ask('GET', `/v1/products/${product}/releases/${version}`)
  const stored = fake.releases.stored(REPOSITORY, `v${version}`)
  return {panel: json.state ?? 'absent', github: stored[0]?.draft, count: stored.length}
}

/** Kills, looks, runs it again to the end, and once more. */
async function survives(
  place: Place,
  product: string,
  version: string,
  point: Pick<KilledPublisher, 'step' | 'request'>,
): Promise<void> {
  const {panel, fake} = place
  const folder = await releaseFolder({product, version, slots, size: 70_000})
  const journal = join(folder.folder, 'journal.json')
  const receipt = join(folder.folder, 'receipt.json')
  const {manifest} = folder
  const {url, adminToken} = panel
  const targets = {panel: {url, adminToken}, github: {url: fake.url}}
  const what = JSON.stringify(point)
  assert.is(await killed({manifest, journal, receipt, ...targets, ...point}), 'SIGKILL', what)
  assert.not(existsSync(receipt), what)

  const after = await stateOf(place, folder)
  assert.ok(after.count <= 1, what)
  // GitHub is never ahead, and what it shows is whole
  if (after.github === false) {
    assert.is(after.panel, 'published', what)
    assert.ok(isWhole(folder, fake), what)
  }

  const keepReceipt = (text: string) => writeFileSync(receipt, text)
  const again = async () => (await publication(folder, targets, {journal, keepReceipt})).run()
  const finished = await again()
  assert.is(finished.receipt.manifest_sha256, folder.release.file.digest, what)
  assert.equal(await stateOf(place, folder), {panel: 'published', github: false, count: 1}, what)
  assert.ok(isWhole(folder, fake), what)
  const text = readFileSync(receipt, 'utf8')
  const last = await again()
  assert.equal([last.changed, last.sent], [false, {panel: [], github: []}], what)
  assert.is(readFileSync(receipt, 'utf8'), text, what)
}

/** Steps and requests of a publication that nobody kills. */
async function wholeRun(targets: Place): Promise<{readonly steps: string[]; requests: number}> {
  const steps: string[] = []
  let requests = 0
  const folder = await releaseFolder({version: '3.0.0', slots, size: 70_000})
  const {run} = await publication(
    folder,
    {panel: targets.panel, github: targets.fake},
    {
      onStep: (phase, step) => {
        if (phase === 'begin') steps.push(step.replace('3.0.0', 'VERSION'))
      },
      through: (http) => ({
        download: (request) => http.download(request),
        send: (request) => {
          requests++
          return http.send(request)
        },
      }),
    },
  )
  await run()
  return {steps, requests}
}

test('killed at the beginning of every step, and over answers that nobody read', async () => {
  const panel = await startPanel({
    products: Object.fromEntries(products.map((name) => [name, slots])),
  })
  const tags = Array.from({length: 40}, (_, at) => `v3.0.${at}`)
  const fake = await startFakeGitHub({repositories: [{name: REPOSITORY, tags}]})
  try {
    const {steps, requests} = await wholeRun({panel, fake})
    assert.ok(steps.length >= 15, steps.join(', '))
    const points = [
      ...steps.map((step) => ({step})),
      ...[0.2, 0.35, 0.5, 0.65, 0.8].map((part) => ({request: Math.floor(part * requests)})),
    ].map((point, at) => ({point, version: `3.0.${at + 1}`}))
    // a lease is of a product, so those that run at the same time have one each
    const halves = products.map(async (product, half) => {
      for (const {point, version} of points.filter((_, at) => at % 2 === half)) {
        const named = 'step' in point ? {step: point.step.replace('VERSION', version)} : point
        await survives({panel, fake}, product, version, named)
      }
    })
    const ended = await Promise.allSettled(halves)
    for (const half of ended) if (half.status === 'rejected') throw half.reason
    assert.not(fake.releases.deleted.some(({wasDraft}) => !wasDraft))
  } finally {
    await panel.stop()
    await fake.close()
  }
})

test.run()
