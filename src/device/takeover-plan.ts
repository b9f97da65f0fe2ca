import {compareVersions} from '../bundle/version.ts'
import {channelNames} from '../release/release.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {isSafeVersion, type Slot} from './record.ts'

// What D1's and D2's own updaters have made becomes a node: `current` and `previous` may be absolute
// and end in a slash, the folders of versions may be called v1.4.1, and nothing was ever synced.

/** A folder in versions/ that a link leads to. */
export type Linked = {readonly name: string; readonly version: string}

/**
 * Where a link of the root leads, relative or absolute. Refuses with upgrade_layout_invalid what is
 * no version of this root.
 */
export function linkedFolder(root: string, link: string, target: string): Linked {
  const prefix = `${root}/`
  const inside = target.startsWith(prefix) ? target.slice(prefix.length) : target
  const [, name = ''] = /^(?:\.\/)?versions\/([^/]+)\/?$/.exec(inside) ?? []
  const version = name.replace(/^v(?=\d)/, '')
  if (isSafeVersion(version)) return {name, version}
  throw new RelError('upgrade_layout_invalid', `${link} leads to ${target}, not to a version`)
}

/** What was found and verified. */
export type TakeoverFacts = {
  readonly current: Linked & {readonly text: string; readonly slot: Slot}
  /** Absent when there is none, or when it does not verify. */
  readonly previous?: Linked & {readonly slot: Slot}
  /** What previous says, wherever it leads. */
  readonly previousText?: string
  /** Temporary links that an interrupted swap has left. */
  readonly leftovers: readonly string[]
  /** Files of the other updater whose names rel needs. */
  readonly taken: readonly string[]
  /** Versions in versions/ that neither link names. */
  readonly others: readonly string[]
  readonly configText: string
  /** First line of the file `channel`. */
  readonly channel?: string
}

/** What a takeover does, in this order; the record that makes it a node comes last. */
export type Takeover = {
  readonly running: Slot
  readonly previous?: Slot
  readonly configText: string
  /** Copied to NAME.before-rel first. */
  readonly keeps: readonly string[]
  /** Removed: links only. */
  readonly removes: readonly string[]
  /** Synced where they are. */
  readonly settles: readonly string[]
  /** Copied under the name rel gives them: what runs is not moved away. */
  readonly copies: readonly Linked[]
  readonly isLinkChanged: boolean
  /** Left to the operator, who knows when nothing runs from it any more. */
  readonly leaves: readonly string[]
  /** Removed by the next update: nothing names them. */
  readonly unused: readonly string[]
  /** What the links said. */
  readonly undo: {readonly current: string; readonly previous?: string}
}

/** Refuses with upgrade_config_invalid where the file `channel` names none. */
export function planTakeover(facts: TakeoverFacts): Takeover {
  const {current, previousText, leftovers} = facts
  const previous =
    facts.previous?.version === current.version || isNewer(facts.previous, current)
      ? undefined
      : facts.previous
  const named = [current, ...(previous === undefined ? [] : [previous])]
  const copies = named.filter(({name, version}) => name !== version)
  return {
    running: current.slot,
    ...(previous === undefined ? {} : {previous: previous.slot}),
    configText: withChannel(facts.configText, facts.channel),
    keeps: facts.taken,
    removes: [
      ...leftovers,
      ...(previousText !== undefined && previous === undefined ? ['previous'] : []),
    ],
    settles: named.filter(({name, version}) => name === version).map(({version}) => version),
    copies: copies.map(({name, version}) => ({name, version})),
    isLinkChanged: current.text !== `versions/${current.version}`,
    leaves: copies.map(({name}) => `versions/${name}`),
    unused: facts.others,
    undo: {
      current: current.text,
      ...(previousText === undefined ? {} : {previous: previousText}),
    },
  }
}

/** D2 may have been rolled back: then `previous` is what failed, and no way back. */
function isNewer(previous: Linked | undefined, current: Linked): boolean {
  return previous !== undefined && compareVersions(previous.version, current.version) > 0
}

/**
 * The configuration, with the channel that the other updater was set to where it says none itself:
 * a beta node stays one. From then on device.json alone counts.
 */
function withChannel(configText: string, channel: string | undefined): string {
  const json = JSON.parse(configText) as JsonObject & {readonly upgrade?: JsonObject}
  if (channel === undefined || json.upgrade?.allowed_channels !== undefined) return configText
  if (!channelNames.some((name) => name === channel))
    throw new RelError('upgrade_config_invalid', 'the file channel names no channel', {
      hint: 'Say in device.json which channels are taken: upgrade.allowed_channels.',
    })
  const upgrade = {...json.upgrade, allowed_channels: [channel]}
  return `${JSON.stringify({...json, upgrade}, null, 2)}\n`
}

/** The plan as people read it. */
export function takeoverLines(plan: Takeover): readonly string[] {
  const {running, previous, copies, settles} = plan
  return [
    `${running.version} runs and verifies`,
    previous === undefined
      ? 'no way back: previous is missing, the same, newer, or does not verify'
      : `${previous.version} verifies: rel device rollback goes back to it`,
    ...plan.keeps.map((name) => `keep ${name} as ${name}.before-rel`),
    ...plan.removes.map((name) => `remove the link ${name}`),
    ...settles.map((version) => `sync versions/${version}`),
    ...copies.map(({name, version}) => `copy versions/${name} to versions/${version}`),
    ...(plan.isLinkChanged ? [`lead current to versions/${running.version}`] : []),
    `write device.json, trust_anchor.json and records; the floor is ${running.version}`,
    ...plan.unused.map((version) => `! the next update removes versions/${version}, unused`),
  ]
}

/** The plan as JSON. */
export function takeoverJson(plan: Takeover): JsonObject {
  const {keeps, removes, settles, copies, leaves, unused, isLinkChanged} = plan
  return {
    keeps: [...keeps],
    removes: [...removes],
    syncs: [...settles],
    copies: copies.map(({name, version}) => ({
      from: `versions/${name}`,
      to: `versions/${version}`,
    })),
    changes_current: isLinkChanged,
    leaves: [...leaves],
    unused: [...unused],
  }
}
