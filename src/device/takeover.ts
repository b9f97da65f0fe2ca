import {readlinkSync, statfsSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {entriesIn, readFileLimited, statIfThere} from '../system/files.ts'
import type {DeviceConfig} from './config.ts'
import type {Device} from './device.ts'
import {type DurableFs, replaceFile, swapLink} from './durable-fs.ts'
import {checkFileSystem} from './file-system.ts'
import {checkNoNode, firstPolicy, type NodeFiles, writeFirstRecord, writeNodeFiles} from './init.ts'
import {listVersions, paths, versionPath, writing} from './layout.ts'
import {checkFolder, checkOwned} from './owned.ts'
import {bundlePlace} from './place-tree.ts'
import type {Slot} from './record.ts'
import {linkedFolder, planTakeover, type Takeover, type TakeoverFacts} from './takeover-plan.ts'
import {slotOf, upgradeError, verifyVersion} from './verify-installed.ts'

/** Names under which D2's swap makes links before it renames them. */
const temporaryLinks = ['.current.tmp', '.previous.tmp']

/** A channel is a word. */
const MAX_CHANNEL_BYTES = 256

/** More than any configuration or anchor. */
const MAX_KEPT_BYTES = 1024 * 1024

const suffix = '.before-rel'

/**
 * What it would take to make a node of what another updater has made: reads and verifies, writes
 * nothing. Refuses with file_exists, file_missing, upgrade_layout_invalid, upgrade_config_invalid,
 * and as verifyDirectory does under D1's codes.
 */
export async function checkTakeover(
  root: string,
  config: DeviceConfig,
  {configText, anchorPath}: NodeFiles,
  now: number,
): Promise<Takeover> {
  if (config.profile.kind !== 'tree')
    throw new RelError('usage_invalid', '--adopt is for nodes with links', {
      hint: 'With binary, rel device init --bundle takes over a program that is there.',
    })
  checkNoNode(root)
  checkFolders(root)
  const verify = verifier(root, config, anchorPath, now)
  try {
    return planTakeover(await factsOf(root, configText, verify))
  } catch (error) {
    throw upgradeError(error)
  }
}

function checkFolders(root: string): void {
  const stat = statIfThere(join(root, paths.versions))
  if (stat?.isDirectory() !== true)
    throw new RelError('upgrade_layout_invalid', 'versions is missing, or no folder itself')
  checkOwned('versions', stat)
  checkFolder(root)
  checkFileSystem(statfsSync(root).type, true)
}

type Verify = (name: string, version: string) => Promise<Slot>

function verifier(root: string, config: DeviceConfig, anchorPath: string, now: number): Verify {
  const policy = firstPolicy(config, anchorPath, now)
  return async (name, version) => {
    const path = join(root, versionPath(name))
    if (statIfThere(path)?.isDirectory() !== true)
      throw new RelError('upgrade_layout_invalid', `${versionPath(name)} is no folder`)
    const {verifyDirectory} = await import('../bundle/verify.ts')
    const expect = {...policy.expect, version}
    return slotOf(await verifyDirectory(path, {...policy, expect}), now)
  }
}

async function factsOf(root: string, configText: string, verify: Verify): Promise<TakeoverFacts> {
  const text = linkText(root, paths.current)
  if (text === undefined)
    throw new RelError('upgrade_layout_invalid', 'current is missing: nothing says what runs')
  const current = linkedFolder(root, paths.current, text)
  const slot = await verify(current.name, current.version)
  await checkNamesake(root, current, slot, verify)
  const previousText = linkText(root, paths.previous)
  const previous = await previousOf(root, previousText, verify)
  const channel = channelOf(root)
  const named = [current.version, previous?.version]
  return {
    current: {...current, text, slot},
    ...(previous === undefined ? {} : {previous}),
    ...(previousText === undefined ? {} : {previousText}),
    leftovers: temporaryLinks.filter((name) => linkText(root, name) !== undefined),
    taken: statIfThere(join(root, paths.private)) === undefined ? takenNames(root) : [],
    others: listVersions(root).versions.filter((version) => !named.includes(version)),
    configText,
    ...(channel === undefined ? {} : {channel}),
  }
}

/** A folder that has the name already must be the same version: it is not rel's to replace. */
async function checkNamesake(
  root: string,
  {name, version}: {readonly name: string; readonly version: string},
  {digest}: Slot,
  verify: Verify,
): Promise<void> {
  if (name === version || statIfThere(join(root, versionPath(version))) === undefined) return
  const other = await verify(version, version)
  if (other.digest !== digest)
    throw new RelError(
      'upgrade_layout_invalid',
      `versions/${name} and versions/${version} are two bundles of one version`,
    )
}

/** What previous leads to, when it can be gone back to. */
async function previousOf(
  root: string,
  text: string | undefined,
  verify: Verify,
): Promise<TakeoverFacts['previous']> {
  if (text === undefined) return undefined
  try {
    const linked = linkedFolder(root, paths.previous, text)
    const slot = await verify(linked.name, linked.version)
    await checkNamesake(root, linked, slot, verify)
    return {...linked, slot}
  } catch (error) {
    if (error instanceof RelError) return undefined
    throw error
  }
}

/** Refuses with upgrade_layout_invalid what is there and no link. */
function linkText(root: string, name: string): string | undefined {
  const path = join(root, name)
  const stat = statIfThere(path)
  if (stat === undefined) return undefined
  if (stat.isSymbolicLink()) return readlinkSync(path)
  throw new RelError('upgrade_layout_invalid', `${name} is no link`)
}

function channelOf(root: string): string | undefined {
  const path = join(root, 'channel')
  if (statIfThere(path)?.isFile() !== true) return undefined
  return readFileLimited(path, MAX_CHANNEL_BYTES).toString('utf8').trim()
}

/** After a takeover that was interrupted, what has these names is of rel. */
function takenNames(root: string): readonly string[] {
  return [paths.anchor, paths.config].filter((name) => {
    const stat = statIfThere(join(root, name))
    if (stat !== undefined && !stat.isFile())
      throw new RelError('upgrade_layout_invalid', `${name} is no file`)
    return stat !== undefined
  })
}

/**
 * Makes a node of what another updater has made. What runs stays where it is, and `current` leads to
 * the same version all the time. The record comes last: until it is there the folder is no node, and
 * running this again begins anew. Refuses as checkTakeover does, and with upgrade_disk_full.
 */
export async function adopt(device: Device, plan: Takeover, anchorPath: string): Promise<Slot> {
  const {root, world} = device
  const {fs} = world
  writing(() => {
    for (const name of plan.keeps)
      replaceFile(fs, `${name}${suffix}`, [readFileLimited(join(root, name), MAX_KEPT_BYTES)])
    for (const path of plan.removes) fs.run({op: 'unlink', path})
    // from here on, what has the names of rel's files is rel's: see takenNames
    if (statIfThere(join(root, paths.private)) === undefined)
      fs.run({op: 'mkdir', path: paths.private})
    fs.run({op: 'sync_dir', path: ''})
  })
  writeNodeFiles(device, {configText: plan.configText, anchorPath})
  for (const {name, version} of plan.copies)
    if (statIfThere(join(root, versionPath(version))) === undefined)
      await bundlePlace(join(root, versionPath(name)))(device, () => undefined)
    else writing(() => syncTree(fs, versionPath(version)))
  writing(() => {
    for (const version of plan.settles) syncTree(fs, versionPath(version))
    fs.run({op: 'sync_dir', path: paths.versions})
    fs.run({op: 'sync_dir', path: ''})
  })
  const running = await again(device, plan.running)
  const previous = plan.previous === undefined ? undefined : await again(device, plan.previous)
  writing(() => {
    if (previous !== undefined) swapLink(fs, paths.previous, versionPath(previous.version))
    if (plan.isLinkChanged) swapLink(fs, paths.current, versionPath(running.version))
  })
  writeFirstRecord(device, running, previous)
  return running
}

/** Under the name and with the anchor that the node has from now on. */
async function again({root, config}: Device, slot: Slot): Promise<Slot> {
  try {
    const signed = await verifyVersion(root, config, slot.version, slot.verifiedAt)
    return slotOf(signed, slot.verifiedAt)
  } catch (error) {
    throw upgradeError(error)
  }
}

/** Makes durable what somebody else has written, files first. */
function syncTree(fs: DurableFs, path: string): void {
  for (const entry of entriesIn(join(fs.root, path))) {
    const below = join(path, entry.name)
    if (entry.isDirectory()) syncTree(fs, below)
    else if (entry.isFile()) fs.run({op: 'sync', path: below})
  }
  fs.run({op: 'sync_dir', path})
}
