import {lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import type {DurableFs} from '../../../src/device/durable-fs.ts'

// The procedure of the D2 document, order and names kept: unpack into versions/VERSION, os.symlink
// and os.replace on fixed temporary names, absolute targets, no sync anywhere. Test support only.

/** _download_bundle, as far as it writes, and _atomic_swap. */
export function d2LiteralUpdate(fs: DurableFs, source: string, version: string): void {
  const staging = `versions/${version}`
  copy(fs, source, staging)
  if (isLink(join(fs.root, 'current'))) {
    fs.run({op: 'symlink', path: '.previous.tmp', target: readlinkSync(join(fs.root, 'current'))})
    fs.run({op: 'rename', path: '.previous.tmp', to: 'previous'})
  }
  fs.run({op: 'symlink', path: '.current.tmp', target: join(fs.root, staging)})
  fs.run({op: 'rename', path: '.current.tmp', to: 'current'})
}

function copy(fs: DurableFs, from: string, to: string): void {
  fs.run({op: 'mkdir', path: to})
  for (const {name, ...entry} of readdirSync(from, {withFileTypes: true}).map((it) => ({
    name: it.name,
    isFolder: it.isDirectory(),
  }))) {
    if (entry.isFolder) copy(fs, join(from, name), join(to, name))
    else {
      fs.run({op: 'create', path: join(to, name), mode: 0o644})
      fs.run({op: 'write', path: join(to, name), bytes: readFileSync(join(from, name))})
    }
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, {throwIfNoEntry: false})?.isSymbolicLink() === true
}

/** The folder of a node as D2 has it, without anything in it. */
export function d2Root(root: string): void {
  mkdirSync(join(root, 'versions'), {recursive: true})
}
