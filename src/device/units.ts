import {RelError} from '../system/error.ts'
import type {DeviceConfig} from './config.ts'
import {unitTemplates} from './unit-templates.ts'

/** What the units of one program are made for. */
export type UnitInput = {
  /** Absolute folder of the node. */
  readonly root: string
  /** Name of the service of the program, with or without `.service`. */
  readonly service: string
  /** Absolute path of rel. */
  readonly rel: string
  /** Absolute folder of units. */
  readonly out: string
  /** Whether each start is refused to files that are not the signed ones. */
  readonly verifyAtStart: boolean
  readonly config: Pick<DeviceConfig, 'profile' | 'pollIntervalSecs' | 'health'>
}

export type UnitFile = {readonly path: string; readonly text: string}

export type UnitPlan = {
  readonly service: string
  /** The guard, to be put below the root. */
  readonly guard: string
  readonly units: readonly UnitFile[]
  /** Commands that make systemd take them. */
  readonly enable: string
  readonly disable: string
}

/** What systemd and a shell take as it is, without quotes, specifiers and escapes. */
const PLAIN_PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._+@=,:~-]+)+$/

/** Of systemd.unit(5), without the escapes; the longest prefix that fits 255 bytes with it. */
const NAME = /^[A-Za-z0-9:_.@-]{1,200}$/

/**
 * The units of a program, rendered. Refuses with usage_invalid a name or a path that would mean
 * something else to systemd.
 */
export function planUnits(input: UnitInput): UnitPlan {
  const {root, service, rel, out, verifyAtStart, config} = input
  const name = service.replace(/\.service$/, '')
  if (!NAME.test(name) || name.startsWith('.') || name.startsWith('-'))
    throw new RelError('usage_invalid', `${service} is no name of a service`)
  const {profile, pollIntervalSecs, health} = config
  const folder = profile.kind === 'binary' ? folderOf(profile.path) : undefined
  for (const path of [root, rel, out, ...(folder === undefined ? [] : [folder])])
    if (!PLAIN_PATH.test(path))
      throw new RelError('usage_invalid', `${path} does not fit into a unit`, {
        hint: 'Use absolute paths of letters, digits and . _ + @ = , : ~ -',
      })
  // no "-": this one may keep it from starting
  const verify = `ExecStartPre=+/bin/sh ${root}/.rel/guard ${root} verify ${rel}\n`
  const values = {
    '@VERIFY@': verifyAtStart ? verify : '',
    '@DIR@': root,
    '@NAME@': name,
    '@REL@': rel,
    '@WRITABLE@': [root, ...(folder === undefined ? [] : [folder])].join(' '),
    // health.process asks the kernel what a process of another user runs
    '@PROCESS@': health.kind === 'process' ? ' CAP_SYS_PTRACE' : '',
    '@POLL@': String(pollIntervalSecs),
    '@JITTER@': String(Math.ceil(pollIntervalSecs / 10)),
  }
  const file = (path: string, template: keyof typeof unitTemplates): UnitFile => ({
    path: `${out}/${path}`,
    text: render(unitTemplates[template], values),
  })
  const units = [
    file(`${name}.service.d/50-rel-guard.conf`, 'guard.conf'),
    file(`rel-guard-${name}.path`, 'guard-window.path'),
    file(`rel-guard-${name}.service`, 'guard-window.service'),
    file(`rel-device-${name}.service`, 'rel-device.service'),
    file(`rel-device-${name}.timer`, 'rel-device.timer'),
  ]
  const started = `rel-guard-${name}.path rel-device-${name}.timer`
  const reload = 'systemctl daemon-reload'
  return {
    service: name,
    guard: unitTemplates['rel-guard'],
    units,
    enable: `${reload} && systemctl enable --now ${started} && systemctl try-restart ${name}`,
    disable: `systemctl disable --now ${started}`,
  }
}

function render(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/@[A-Z]+@/g, (name) => values[name] ?? name)
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}

/** True for a file that an earlier run has written, which may be replaced. */
export function isOurUnit(text: string): boolean {
  return /^# (?:Written|Added) by `rel device install-unit`/.test(text)
}
