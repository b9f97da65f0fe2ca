import type {ReleaseArtifact} from '../../release/release.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import type {NewRelease} from './store.ts'

/** More than a person reads; the count of all is given beside them. */
const MAX_FIELDS = 50

const artifactFields = [
  'component',
  'os',
  'arch',
  'size',
  'sha256',
  'signature',
  'keyId',
  'required',
] as const satisfies readonly (keyof ReleaseArtifact)[]

type Difference = {readonly field: string; readonly stored: JsonValue; readonly given: JsonValue}

/** What differs between the release there is and the one that was sent, for release_conflict. */
export function releaseDifferences(stored: NewRelease, given: NewRelease): JsonObject {
  const fields = [
    ...scalarDifferences(stored, given),
    ...artifactDifferences(stored.artifacts, given.artifacts),
  ]
  return {differences: fields.length, fields: fields.slice(0, MAX_FIELDS)}
}

function scalarDifferences(stored: NewRelease, given: NewRelease): readonly Difference[] {
  return (['version', 'channel', 'digest'] as const)
    .filter((field) => stored[field] !== given[field])
    .map((field) => ({field, stored: stored[field], given: given[field]}))
}

function artifactDifferences(
  stored: readonly ReleaseArtifact[],
  given: readonly ReleaseArtifact[],
): readonly Difference[] {
  const before = new Map(stored.map((artifact) => [artifact.name, artifact]))
  const after = new Map(given.map((artifact) => [artifact.name, artifact]))
  const names = [...new Set([...before.keys(), ...after.keys()])].sort()
  return names.flatMap((name) => {
    const [left, right] = [before.get(name), after.get(name)]
    if (left === undefined || right === undefined)
      return [{field: `artifacts.${name}`, stored: left !== undefined, given: right !== undefined}]
    return artifactFields
      .filter((field) => left[field] !== right[field])
      .map((field) => ({
        field: `artifacts.${name}.${field}`,
        stored: left[field],
        given: right[field],
      }))
  })
}
