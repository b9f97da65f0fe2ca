import {spawnSync} from 'node:child_process'
import {cpSync, existsSync, mkdirSync, readdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {abortBump, startBump} from '../../src/bump/run-bump.ts'
import {RelError} from '../../src/system/error.ts'
import {gitEnv, personalState, repositoryAt, sampleRepository} from '../support/bump/repository.ts'
import {request, sampleFiles, sampleIn} from '../support/bump/sample.ts'
import {inTraefikSetting} from '../support/bump/traefik-setting.ts'
import {needsThat} from '../support/needs.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** A small file system, or undefined where mounting is not allowed. */
function tinyDisk(size: string): string | undefined {
  const folder = temporaryFolder()
  const {status} = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'rel-test', folder])
  return status === 0 ? folder : undefined
}

const disk = tinyDisk('6m')

if (needsThat('a full disk', disk !== undefined, 'mounting a tmpfs is not allowed here') && disk)
  test('on a disk that fills up a bump is refused, and what was there is as it was', async () => {
    try {
      await onFullDisk(disk)
    } finally {
      spawnSync('umount', [disk])
    }
  })

if (needsThat('a full disk', disk !== undefined, 'mounting a tmpfs is not allowed here'))
  test('a download that does not fit is refused by rel bump, and what was there is as it was', () =>
    inTraefikSetting(async ({repository}) => {
      const cache = tinyDisk('48k') // the archives fit, the program inside of one does not
      if (cache === undefined) throw new Error('the second tmpfs could not be mounted')
      try {
        const before = personalState(repository)
        const {PATH: _, HOME: __, ...identity} = gitEnv
        const ran = await runRel(['bump', 'traefik', 'NEW=v3.3.5', '--json'], {
          cwd: repository.root,
          env: {...identity, XDG_CACHE_HOME: cache},
        })
        assert.is(ran.code, 28, ran.stdout)
        assert.match(ran.stdout, /"code": "disk_full"/)
        assert.equal(personalState(repository), before)
        assert.not.ok(existsSync(join(repository.root, '.git/rel/bump/traefik.json')))
        const left = readdirSync(cache, {recursive: true, encoding: 'utf8'})
        assert.equal(
          left.filter((path) => /\.part$|\.tmp/.test(path)),
          [],
        )
      } finally {
        spawnSync('umount', [cache])
      }
    }))

async function onFullDisk(folder: string): Promise<void> {
  const made = sampleRepository(sampleFiles)
  cpSync(join(made.root, '..'), join(folder, 'r'), {recursive: true})
  const repository = repositoryAt(join(folder, 'r/work'))
  repository.git('remote', 'set-url', 'origin', repository.remote)
  repository.git('status') // the index has the times of the copies
  const before = personalState(repository)
  const codes = new Set<string>()
  for (const leave of [0, 1, 2, 4, 8, 16, 24, 32, 48, 64]) {
    const {context} = await sampleIn(repository)
    mkdirSync(join(folder, 'filler'), {recursive: true})
    fill(join(folder, 'filler'), leave)
    try {
      await startBump(request('v3.3.5', {push: false}), context)
      codes.add('done')
    } catch (error) {
      assert.instance(error, RelError, String(error))
      codes.add((error as RelError).code)
    }
    spawnSync('rm', ['-rf', join(folder, 'filler')])
    await abortBump('traefik', context.world.git).catch(() => undefined)
    spawnSync('git', ['branch', '-D', 'bump/traefik-v3.3.5'], {cwd: repository.root})
    assert.equal(personalState(repository), before, `${leave} blocks left`)
  }
  assert.ok(codes.has('disk_full'), [...codes].join(', '))
  const {context} = await sampleIn(repository)
  await startBump(request('v3.3.5', {push: false}), context)
}

/** Fills the disk but for this many blocks of 4 KiB. */
function fill(folder: string, leave: number): void {
  const block = Buffer.alloc(4096, 120)
  for (let at = 0; ; at++)
    try {
      writeFileSync(join(folder, String(at)), block)
    } catch {
      for (let index = at; index >= Math.max(0, at - leave); index--)
        spawnSync('rm', ['-f', join(folder, String(index))])
      return
    }
}

test.run()
