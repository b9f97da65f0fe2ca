import {isVersion} from '../version.ts'

const ENDING = '.delta.tar.zst'

/** True for the name of a file that is a delta, whatever it is made from. */
export function isDeltaName(name: string): boolean {
  return name.endsWith(ENDING)
}

/**
 * The version that a delta starts from, by the name that its release signs
 * (NAME.from-VERSION.delta.tar.zst); undefined when the name says none.
 */
export function deltaBase(name: string): string | undefined {
  if (!isDeltaName(name)) return undefined
  const at = name.lastIndexOf('.from-')
  const version = at <= 0 ? '' : name.slice(at + '.from-'.length, -ENDING.length)
  return isVersion(version) ? version : undefined
}
