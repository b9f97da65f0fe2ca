import {execFileSync, spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, truncateSync, writeFileSync} from 'node:fs'
import {basename, join} from 'node:path'
import {temporaryFolder} from './tmp.ts'

/** A small ext4 file system of its own, which can turn read-only as a failing disk does. */
export type LoopDisk = {
  readonly folder: string
  /** The kernel finds an error and takes the file system for reading alone, whoever writes to it. */
  fail(): void
  /** Unmounts it, whoever uses it, repairs it, and mounts it again. */
  repair(): void
  /** What an administrator does; refused while anything is open for writing. */
  remount(mode: 'ro' | 'rw'): void
  close(): void
}

/** Makes and mounts one, or says why not, for a named skip. */
export function loopDisk(megabytes: number): LoopDisk | string {
  if (process.getuid?.() !== 0) return 'mounting a disk needs root'
  const place = temporaryFolder('rel-loop-')
  const [image, folder] = [join(place, 'disk.img'), join(place, 'disk')]
  writeFileSync(image, '')
  truncateSync(image, megabytes * 1024 * 1024)
  mkdirSync(folder)
  const run = (program: string, ...args: readonly string[]) =>
    execFileSync(program, args, {stdio: 'pipe', encoding: 'utf8'})
  const mount = () => run('mount', '-o', 'loop,errors=remount-ro', image, folder)
  try {
    run('mkfs.ext4', '-q', image)
    mount()
  } catch (error) {
    return `a loop device cannot be mounted here: ${error}`
  }
  const trigger = () => {
    const device = basename(run('findmnt', '-no', 'SOURCE', folder).trim())
    return `/sys/fs/ext4/${device}/trigger_fs_error`
  }
  const disk: LoopDisk = {
    folder,
    fail: () => writeFileSync(trigger(), '1'),
    repair: () => {
      run('umount', folder)
      const {status} = spawnSync('fsck.ext4', ['-fy', image])
      if (status === null || status > 1) throw new Error(`fsck.ext4 ended with ${status}`)
      mount()
    },
    remount: (mode) => {
      run('mount', '-o', `remount,${mode}`, folder)
    },
    close: () => {
      spawnSync('umount', ['--lazy', folder])
    },
  }
  if (existsSync(trigger())) return disk
  disk.close()
  return 'this kernel has no trigger_fs_error'
}
