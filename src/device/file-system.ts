import {RelError} from '../system/error.ts'

// Magic numbers of statfs(2), from linux/magic.h and the drivers of the kernel.
const unfit: Readonly<Record<number, readonly [name: string, reason: string]>> = {
  19780: ['vfat', 'has no links, no modes, and no rename that survives a power cut'],
  538032816: ['exfat', 'has no links and no modes'],
  1397118030: ['ntfs', 'has no modes that can be relied on'],
  1936094318: ['ntfs3', 'has no modes that can be relied on'],
  26985: ['nfs', 'may forget what was synced, and runs on when it is gone'],
  20859: ['smb', 'has no links and modes that can be relied on'],
  4283649346: ['cifs', 'has no links and modes that can be relied on'],
  4266872130: ['smb2', 'has no links and modes that can be relied on'],
  16914839: ['9p', 'may forget what was synced'],
  38496: ['iso9660', 'cannot be written'],
  1936814952: ['squashfs', 'cannot be written'],
  3774210530: ['erofs', 'cannot be written'],
}

const OVERLAY = 0x794c7630

/**
 * That a file system keeps what an updater promises. `isTaken` is true for a folder that has
 * versions already: below an overlay they may lie in a lower layer, where a folder cannot be
 * renamed. Refuses with upgrade_layout_invalid.
 */
export function checkFileSystem(type: number, isTaken: boolean): void {
  const found = type === OVERLAY && isTaken ? overlay : unfit[type >>> 0]
  if (found === undefined) return
  const [name, reason] = found
  throw new RelError('upgrade_layout_invalid', `the folder is on ${name}, which ${reason}`, {
    hint: 'Put the node on ext4, xfs, btrfs or f2fs of this machine.',
    details: {file_system: name},
  })
}

const overlay = ['overlay', 'may keep versions in a layer that cannot be changed'] as const
