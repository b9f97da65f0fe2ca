import {type BundleDiff, diffManifests, type FileChange, isSameContent} from '../bundle/diff.ts'
import {loadManifest} from '../bundle/inspect.ts'
import type {FileEntry} from '../bundle/manifest.ts'
import {exitCodes} from '../system/codes/code.ts'
import type {JsonObject} from '../system/json.ts'
import type {Outcome} from './base-command.ts'

/** `rel diff`: what changes from one bundle to another, by their manifests. */
export async function diffBundles(
  before: string,
  after: string,
  flags: {readonly 'exit-code': boolean},
): Promise<Outcome> {
  const [old, next] = [await loadManifest(before), await loadManifest(after)]
  const diff = diffManifests(old.file.manifest, next.file.manifest)
  const same = isSameContent(diff)
  return {
    result: {same, ...resultOf(diff), verified: false},
    lines: same ? ['no difference'] : linesOf(diff),
    warnings: ['nothing was verified: these are the manifests, whoever wrote them'],
    ...(flags['exit-code'] && !same ? {exit: exitCodes.changed} : {}),
  }
}

function resultOf({facts, added, removed, changed, links, sizeDelta}: BundleDiff): JsonObject {
  const factOf = ({name, before, after}: BundleDiff['facts'][number]) => ({
    name,
    ...(before === undefined ? {} : {before}),
    ...(after === undefined ? {} : {after}),
  })
  return {
    facts: facts.map(factOf),
    added: added.map(entryOf),
    removed: removed.map(entryOf),
    changed: changed.map(({path, content, size, mode}) => ({
      path,
      content,
      size: size.map((bytes) => bytes ?? null),
      mode: mode.map((bits) => bits ?? null),
    })),
    links: links.map(factOf),
    size_delta: sizeDelta,
  }
}

function entryOf({path, size, mode}: FileEntry): JsonObject {
  return {path, ...(size === undefined ? {} : {size}), ...(mode === undefined ? {} : {mode})}
}

function linesOf({facts, added, removed, changed, links, sizeDelta}: BundleDiff): string[] {
  const arrow = (before: string | undefined, after: string | undefined) =>
    `${before ?? 'none'} -> ${after ?? 'none'}`
  const count = `${added.length} added, ${removed.length} removed, ${changed.length} changed`
  return [
    ...facts.map(({name, before, after}) => `${name}: ${arrow(before, after)}`),
    ...added.map(({path, size, mode}) => `+ ${path}  ${mode ?? ''} ${size ?? ''}`.trimEnd()),
    ...removed.map(({path}) => `- ${path}`),
    ...changed.map(changeLine),
    ...links.map(({name, before, after}) => `link ${name}: ${arrow(before, after)}`),
    `${count}, ${signed(sizeDelta)} ${Math.abs(sizeDelta) === 1 ? 'byte' : 'bytes'}`,
  ]
}

function changeLine({
  path,
  content,
  size: [sizeBefore, sizeAfter],
  mode: [before, after],
}: FileChange): string {
  const delta = (sizeAfter ?? 0) - (sizeBefore ?? 0)
  const parts = [
    ...(content ? ['content'] : []),
    ...(delta === 0 ? [] : [`${signed(delta)} bytes`]),
    ...(before === after ? [] : [`mode ${before ?? 'none'} -> ${after ?? 'none'}`]),
  ]
  return `~ ${path}  ${parts.join(', ')}`
}

function signed(delta: number): string {
  return delta > 0 ? `+${delta}` : String(delta)
}
