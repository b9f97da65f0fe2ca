import {malformed} from './deb822.ts'

/** One alternative of a dependency, such as `linux-image-6.1.0-56-arm64 (= 6.1.192-2)`. */
export type Dependency = {
  readonly name: string
  /** The architecture after the colon, such as `any`. */
  readonly qualifier?: string
  readonly relation?: {readonly operator: '<<' | '<=' | '=' | '>=' | '>>'; readonly version: string}
}

/** Longer than any Depends field of an archive. */
const MAX_LENGTH = 256 * 1024

const alternative =
  /^([a-z0-9][a-z0-9+.-]*)(?::([a-z0-9-]+))?(?:\s*\(\s*(<<|<=|=|>=|>>)\s*([^\s()]+)\s*\))?$/

/**
 * A Depends field of a binary package: all groups must hold, one alternative of each (Debian Policy
 * 7.1). Restrictions in [] and <> belong to source packages: refused, with deb822_malformed.
 */
export function parseDepends(text: string): readonly (readonly Dependency[])[] {
  if (text.length > MAX_LENGTH) throw malformed(`dependencies of ${text.length} characters`)
  if (text.trim() === '') return []
  return text.split(',').map((group) => group.split('|').map(parseAlternative))
}

function parseAlternative(text: string): Dependency {
  const match = alternative.exec(text.trim())
  const [, name, qualifier, operator, version] = match ?? []
  if (name === undefined)
    throw malformed(`${JSON.stringify(text.trim().slice(0, 80))} is no dependency`)
  return {
    name,
    ...(qualifier === undefined ? {} : {qualifier}),
    ...(operator === undefined || version === undefined
      ? {}
      : {relation: {operator: operator as '=', version}}),
  }
}
