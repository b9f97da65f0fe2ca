import {RelError} from '../system/error.ts'
import type {Device} from './device.ts'
import type {Source} from './source.ts'

/** The source that device.json names. Refuses with upgrade_source_missing. */
export async function openSource(device: Device): Promise<Source> {
  const {source} = device.config
  if (source === undefined)
    throw new RelError('upgrade_source_missing', 'device.json names no source')
  if (source.kind === 'panel')
    return (await import('./panel-source.ts')).panelSource(device, source)
  if (source.kind === 'github')
    return (await import('./github-source.ts')).githubSource(device, source)
  return (await import('./directory-source.ts')).directorySource(device, source)
}
