import {mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {builtPackage, checkout} from '../support/built.ts'
import {cleanEnv, run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The block of README.md runs as it stands. With REL_UPDATE_README=1 it is written anew.

const readmePath = join(checkout, 'README.md')
const readme = readFileSync(readmePath, 'utf8')
const BLOCK = /(<!-- five minutes -->\n```console\n)([\s\S]*?)(```\n)/

/** The lines a person types. */
function commandsOf(block: string): string[] {
  return block
    .split('\n')
    .filter((line) => line.startsWith('$ '))
    .map((line) => line.slice(2))
}

/** What a log shows of each long step; a terminal shows it only while it waits. */
const STEP = /^[A-Z][a-z]+ing .* …\n/gm

/** Runs a line as a shell does, with `rel` on PATH; what it prints, in the order of printing. */
async function type(line: string, folder: string, bin: string): Promise<string> {
  const env = {PATH: `${bin}:${cleanEnv().PATH}`}
  const {stdout} = await run('sh', ['-c', `umask 022; { ${line}\n} 2>&1`], {cwd: folder, env})
  return stdout.replaceAll(`${folder}/`, '').replace(STEP, '')
}

/** Without what is different in every run: digests, key ids, times and sizes of archives. */
function normalised(text: string): string {
  return text
    .replace(/\b[0-9a-f]{16,}\b/g, 'HEX')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'TIME')
    .replace(/\d{3,} bytes/g, 'N bytes')
}

async function transcript(commands: readonly string[]): Promise<string> {
  const folder = join(temporaryFolder(), 'hello')
  mkdirSync(folder)
  const bin = temporaryFolder()
  symlinkSync(join(await builtPackage(), 'bin', 'rel'), join(bin, 'rel'))
  let text = ''
  for (const line of commands) text += `$ ${line}\n${await type(line, folder, bin)}`
  return text
}

test('the five minutes of README.md run as they stand', async () => {
  const [, , block = ''] = BLOCK.exec(readme) ?? []
  const commands = commandsOf(block)
  assert.ok(commands.length >= 5, 'README.md has its block')
  const text = await transcript(commands)
  if (process.env.REL_UPDATE_README === '1') {
    writeFileSync(
      readmePath,
      readme.replace(BLOCK, (_all, head, _old, tail) => head + text + tail),
    )
    return
  }
  assert.is(normalised(text), normalised(block))
})

test.run()
