import {execFileSync, spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {
  closeSync,
  cpSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import {constants} from 'node:os'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../src/device/apply.ts'
import {type DurableFs, realFs, recordingFs} from '../../src/device/durable-fs.ts'
import {checkFileSystem} from '../../src/device/file-system.ts'
import {makeRoot} from '../../src/device/init.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {resume} from '../../src/device/resume.ts'
import {stage} from '../../src/device/stage.ts'
import {verifyDevice} from '../../src/device/status.ts'
import {RelError} from '../../src/system/error.ts'
import {bundleWith} from '../support/delta.ts'
import {deviceAt, makeNode, makeSources, plain} from '../support/device/node.ts'
import {lazyFs} from '../support/device/program-node.ts'
import {loopDisk} from '../support/loop-disk.ts'
import {needsThat} from '../support/needs.ts'
import {rejectsCode, throwsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')
const {root: first} = await makeNode(sources)
const disk = loopDisk(8)

if (needsThat('a small disk', typeof disk !== 'string', String(disk)) && typeof disk !== 'string') {
  const {folder} = disk
  const root = join(folder, 'node')
  const filler = join(folder, 'filler')

  const fresh = () => {
    for (const path of [root, filler]) rmSync(path, {recursive: true, force: true})
    cpSync(first, root, {recursive: true, verbatimSymlinks: true})
  }

  /** Writes until nothing fits any more, then gives some of it back. */
  const fill = (left = 0) => {
    const fd = openSync(filler, 'w')
    let size = 0
    try {
      for (const block of [1 << 20, 1 << 16, 1024])
        for (;;) {
          try {
            size += writeSync(fd, Buffer.alloc(block, 'x'))
          } catch (error) {
            assert.is((error as {code?: string}).code, 'ENOSPC')
            break
          }
        }
      ftruncateSync(fd, Math.max(0, size - left))
    } finally {
      closeSync(fd)
    }
  }

  /** What holds however full the disk is: what runs verifies, and nothing is said that is not so. */
  const checkWhole = async (what: string) => {
    const {record, floor} = loadRecords(root)
    assert.ok(['1.0.0', '1.1.0'].includes(record.running.version), what)
    assert.is(floor, record.running.version, `${what}: the floor is of what was committed`)
    await verifyDevice(deviceAt(root))
  }

  const checkConverges = async (what: string) => {
    rmSync(filler, {force: true})
    const device = deviceAt(root, {fs: lazyFs(root)})
    const {record} = await resume(device)
    if (record.running.version !== '1.1.0') {
      if (record.state !== 'staged') await stage(device, sources.of('1.1.0'), plain)
      await apply(device, plain)
    }
    await resume(device)
    await verifyDevice(device)
    assert.is(loadRecords(root).floor, '1.1.0', what)
    assert.is(statSync(join(root, '.rel/reserve')).size, 64 * 1024, `${what}: the reserve is back`)
  }

  const outcome = async (work: () => Promise<unknown>): Promise<string> => {
    try {
      await work()
      return 'done'
    } catch (error) {
      return error instanceof RelError ? error.code : String(error)
    }
  }

  for (const left of Array.from({length: 24}, (_, at) => at * 1024))
    test(`an update is ended on a disk with ${left} bytes free, from the reserve`, async () => {
      fresh()
      await stage(deviceAt(root, {fs: lazyFs(root)}), sources.of('1.1.0'), plain)
      fill(left)
      assert.is(await outcome(() => apply(deviceAt(root), plain)), 'done')
      await checkWhole(`${left} left`)
      await checkConverges(`${left} left`)
    })

  test('without the reserve the same disk is too full, and nothing is lost', async () => {
    fresh()
    await stage(deviceAt(root), sources.of('1.1.0'), plain)
    rmSync(join(root, '.rel/reserve'))
    fill()
    assert.is(await outcome(() => apply(deviceAt(root), plain)), 'upgrade_disk_full')
    await checkWhole('no reserve')
    await checkConverges('no reserve')
  })

  test('a disk that is full from any operation on refuses, or does it, and goes on with space', async () => {
    let total = 0
    fresh()
    const counting = recordingFs(realFs(root), () => void total++)
    await stage(deviceAt(root, {fs: counting}), sources.of('1.1.0'), plain)
    await apply(deviceAt(root, {fs: counting}), plain)
    assert.ok(total > 30, `${total} operations`)
    const seen = new Set<string>()
    for (let at = 1; at <= total; at++) {
      fresh()
      let count = 0
      // a full disk shows when bytes are written; the syncs would take most of the time
      const fs = recordingFs(lazyFs(root), () => {
        if (++count === at) fill()
      })
      const device = deviceAt(root, {fs})
      const how = await outcome(async () => {
        await stage(device, sources.of('1.1.0'), plain)
        await apply(device, plain)
      })
      seen.add(how)
      assert.ok(['done', 'upgrade_disk_full'].includes(how), `${at}: ${how}`)
      assert.not.ok(existsSync(join(root, 'versions/.1.1.0.partial')), `${at}: a partial tree`)
      await checkWhole(`full from ${at} on`)
      await checkConverges(`full from ${at} on`)
    }
    assert.equal([...seen].sort(), ['done', 'upgrade_disk_full'])
  })

  for (const isStaged of [true, false])
    test(`a disk without inodes is like a full one, ${isStaged ? 'with' : 'before'} a version staged`, async () => {
      fresh()
      if (isStaged) await stage(deviceAt(root), sources.of('1.1.0'), plain)
      const many = join(folder, 'many')
      mkdirSync(many)
      for (let at = 0; ; at++) {
        try {
          writeFileSync(join(many, String(at)), '')
        } catch (error) {
          assert.is((error as {code?: string}).code, 'ENOSPC')
          break
        }
      }
      if (isStaged) {
        const how = await outcome(() => apply(deviceAt(root), plain))
        assert.ok(['done', 'upgrade_disk_full'].includes(how), how)
      } else {
        const staging = () => stage(deviceAt(root), sources.of('1.1.0'), plain)
        assert.is(await outcome(staging), 'upgrade_disk_full')
        assert.equal(readdirSync(join(root, 'versions')), ['1.0.0'])
      }
      await checkWhole('no inodes')
      rmSync(many, {recursive: true})
      await checkConverges('no inodes')
    })

  for (const hasReserve of [true, false])
    test(`a way back on a full disk ${hasReserve ? 'is taken from' : 'waits for space without'} the reserve`, async () => {
      fresh()
      const device = deviceAt(root, {fs: lazyFs(root)})
      await stage(device, sources.of('1.1.0'), plain)
      await apply(device, plain)
      if (!hasReserve) rmSync(join(root, '.rel/reserve'))
      fill()
      const how = await outcome(() => rollback(device))
      assert.is(how, hasReserve ? 'done' : 'upgrade_disk_full')
      const {record, floor} = loadRecords(root)
      assert.ok(['1.0.0', '1.1.0'].includes(record.running.version))
      assert.is(floor, '1.1.0')
      await verifyDevice(device)
      rmSync(filler)
      const {record: next} = await resume(device)
      if (next.running.version !== '1.0.0') await rollback(device)
      await verifyDevice(device)
      assert.equal(
        [loadRecords(root).record.running.version, loadRecords(root).floor],
        ['1.0.0', '1.1.0'],
      )
    })

  test('a version that does not fit gives back what it took', async () => {
    const large = await bundleWith('1.1.0', {'bin/app': randomBytes(2_000_000), a: 'a', b: 'b'})
    const staging = (fs: DurableFs) =>
      outcome(() => stage(deviceAt(root, {fs}), large.folder, plain))
    let total = 0
    fresh()
    assert.is(await staging(recordingFs(lazyFs(root), () => void total++)), 'done')
    let most = 0
    for (let at = 1; at <= total; at++) {
      fresh()
      const before = usedBy(root)
      let [count, taken] = [0, 0]
      const fs = recordingFs(lazyFs(root), () => {
        count++
        taken = Math.max(taken, usedBy(root) - before)
        if (count === at) fill()
      })
      const how = await staging(fs)
      if (how === 'done') continue
      assert.is(how, 'upgrade_disk_full', `${at} of ${total}`)
      const left = usedBy(root) - before
      assert.ok(left <= 0.05 * taken, `${at} of ${total}: ${left} of ${taken} bytes are left`)
      most = Math.max(most, taken)
      await checkWhole(`${at} of ${total}`)
    }
    assert.ok(most > 1_000_000, `at most ${most} bytes were taken`)
  })

  for (const [name, breakIt, mend] of [
    ['read-only', () => disk.remount('ro'), () => disk.remount('rw')],
    ['failing', () => disk.fail(), () => disk.repair()],
  ] as const)
    test(`a disk that is ${name} is named, and what runs is still verified`, async () => {
      fresh()
      await stage(deviceAt(root), sources.of('1.1.0'), plain)
      // the copy of the node was not synced
      spawnSync('sync', ['--file-system', folder])
      breakIt()
      try {
        const device = deviceAt(root)
        assert.is(await outcome(() => apply(device, plain)), 'upgrade_io_error')
        assert.is(
          await outcome(() => stage(device, sources.of('1.2.0'), plain)),
          'upgrade_io_error',
        )
        await checkWhole(name)
      } finally {
        mend()
      }
      await checkConverges(name)
    })

  test.after(() => disk.close())
}

for (const [code, every] of [
  ['EIO', 1],
  ['EROFS', 7],
  ['EDQUOT', 7],
] as const)
  test(`${code} at any operation is named, and the next run goes on`, async () => {
    const wanted = code === 'EDQUOT' ? 'upgrade_disk_full' : 'upgrade_io_error'
    for (let at = 1; ; at += every) {
      const root = join(temporaryFolder(), 'node')
      cpSync(first, root, {recursive: true, verbatimSymlinks: true})
      let count = 0
      const fs = recordingFs(lazyFs(root), () => {
        // as Node has it, which knows no EDQUOT
        const seen = code === 'EDQUOT' ? {code: 'UNKNOWN', errno: -constants.errno.EDQUOT} : {code}
        if (++count >= at) throw Object.assign(new Error(code), seen)
      })
      try {
        await stage(deviceAt(root, {fs}), sources.of('1.1.0'), plain)
        await apply(deviceAt(root, {fs}), plain)
        assert.ok(at > 30, `${at} operations`)
        return
      } catch (error) {
        assert.is((error as RelError).code, wanted, `${at}: ${error}`)
      }
      const device = deviceAt(root, {fs: lazyFs(root)})
      await verifyDevice(device)
      const {record} = await resume(device)
      if (record.running.version !== '1.1.0') {
        if (record.state !== 'staged') await stage(device, sources.of('1.1.0'), plain)
        await apply(device, plain)
      }
      await verifyDevice(device)
      assert.is(loadRecords(root).floor, '1.1.0', `${at}`)
    }
  })

/** Bytes of the disk that a folder takes. */
function usedBy(path: string): number {
  const stat = lstatSync(path, {throwIfNoEntry: false})
  const below = stat?.isDirectory() === true ? readdirSync(path) : []
  const own = (stat?.blocks ?? 0) * 512
  return below.reduce((sum, name) => sum + usedBy(join(path, name)), own)
}

/** A folder of a btrfs with a quota of its own, or why there is none. */
function quota():
  | {readonly folder: string; limit(bytes: number | 'none'): void; close(): void}
  | string {
  if (process.getuid?.() !== 0) return 'mounting a disk needs root'
  const place = temporaryFolder('rel-quota-')
  const [image, top] = [join(place, 'disk.img'), join(place, 'disk')]
  const folder = join(top, 'quota')
  const run = (program: string, ...args: readonly string[]) =>
    execFileSync(program, args, {stdio: 'pipe'})
  writeFileSync(image, '')
  truncateSync(image, 128 << 20)
  mkdirSync(top)
  try {
    run('mkfs.btrfs', '-q', image)
    run('mount', '-o', 'loop', image, top)
    run('btrfs', 'subvolume', 'create', folder)
    run('btrfs', 'quota', 'enable', top)
  } catch (error) {
    spawnSync('umount', ['--lazy', top])
    return `a btrfs with quotas cannot be mounted here: ${error}`
  }
  return {
    folder,
    limit: (bytes) => {
      run('btrfs', 'quota', 'rescan', '-w', top)
      run('btrfs', 'qgroup', 'limit', String(bytes), folder)
    },
    close: () => void spawnSync('umount', ['--lazy', top]),
  }
}

const limited = quota()
if (
  needsThat('a disk with quotas', typeof limited !== 'string', String(limited)) &&
  typeof limited !== 'string'
) {
  test('a quota that is used up is like a full disk', async () => {
    const {folder, limit} = limited
    const root = join(folder, 'node')
    cpSync(first, root, {recursive: true, verbatimSymlinks: true})
    const large = await bundleWith('1.1.0', {'bin/app': randomBytes(8_000_000)})
    limit(4 << 20)
    await rejectsCode(() => stage(deviceAt(root), large.folder, plain), 'upgrade_disk_full')
    assert.equal(readdirSync(join(root, 'versions')), ['1.0.0'])
    await verifyDevice(deviceAt(root))
    assert.is(loadRecords(root).record.state, 'committed')
    limit('none')
    await stage(deviceAt(root), large.folder, plain)
    await apply(deviceAt(root), plain)
    await verifyDevice(deviceAt(root))
    assert.is(loadRecords(root).floor, '1.1.0')
  })
  test.after(() => limited.close())
}

/** A mounted vfat, or why there is none. */
function vfat(): {readonly folder: string; close(): void} | string {
  if (process.getuid?.() !== 0) return 'mounting a disk needs root'
  const place = temporaryFolder('rel-vfat-')
  const [image, folder] = [join(place, 'disk.img'), join(place, 'disk')]
  writeFileSync(image, '')
  truncateSync(image, 4 << 20)
  mkdirSync(folder)
  try {
    execFileSync('mkfs.vfat', [image], {stdio: 'pipe'})
    execFileSync('mount', ['-o', 'loop', image, folder], {stdio: 'pipe'})
  } catch (error) {
    return `a vfat cannot be mounted here: ${error}`
  }
  return {folder, close: () => void spawnSync('umount', ['--lazy', folder])}
}

const stick = vfat()
if (typeof stick === 'string') process.stderr.write(`only the table is tested: ${stick}\n`)
else {
  test('a node is not made on a real vfat', async () => {
    const root = join(stick.folder, 'node')
    const refusal = throwsCode(() => makeRoot(root), 'upgrade_layout_invalid')
    assert.is(refusal.details?.file_system, 'vfat')
    assert.not.ok(existsSync(join(root, '.rel')))
  })
  test.after(() => stick.close())
}

// as `stat -f -c %t` prints them
for (const [name, type] of [
  ['vfat', 0x4d44],
  ['exfat', 0x2011bab0],
  ['nfs', 0x6969],
  ['cifs', 0xff534d42],
  ['cifs', 0xff534d42 | 0],
] as const)
  test(`a node is not made on ${name} (${type})`, () => {
    const refusal = throwsCode(() => checkFileSystem(type, false), 'upgrade_layout_invalid')
    assert.is(refusal.details?.file_system, name)
  })

test('what lies in a lower layer cannot be taken over, a new folder above it can be a node', () => {
  const overlay = 0x794c7630
  checkFileSystem(overlay, false)
  throwsCode(() => checkFileSystem(overlay, true), 'upgrade_layout_invalid')
  for (const type of [0xef53, 0x58465342, 0x9123683e]) checkFileSystem(type, true)
})

test.run()
