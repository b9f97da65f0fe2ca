import {writeFileSync} from 'node:fs'
import {dirname} from 'node:path'
import {fileURLToPath} from 'node:url'
import {type Command, Flags} from '@oclif/core'
import {BaseCommand, type Outcome} from '../../src/cli/base-command.ts'
import type {CommandTree} from '../../src/cli/command-tree.ts'
import {main} from '../../src/cli/main.ts'
import {withProgress} from '../../src/cli/progress.ts'
import {ask} from '../../src/cli/prompt.ts'
import {RelError} from '../../src/system/error.ts'
import {trackLeftover} from '../../src/system/leftovers.ts'

// A program on rel's frame whose commands end in every way a command can end.

const done: Outcome = {result: {done: true}, lines: ['✔ done']}
const forever = new Promise<never>(() => {})

function wait(): Promise<never> {
  setInterval(() => {}, 1000)
  process.stderr.write('ready\n')
  return forever
}

const endings: Record<string, () => Promise<Outcome>> = {
  works: async () => ({...done, warnings: ['a warning'], undo: 'rel undo', next: 'rel next'}),
  changed: async () => ({...done, exit: 10}),
  failing: async () => ({...done, failure: new RelError('doctor_failed', 'one check failed')}),
  refuses: async () => {
    throw new RelError('signature_invalid', 'it does not fit', {details: {keyid: 'aa'}})
  },
  bug: async () => {
    throw new TypeError(`cannot read ${process.env.REL_PASSPHRASE}`)
  },
  syntax: async () => JSON.parse('secret-from-a-file'),
  value: async () => {
    throw 'a string'
  },
  rejection: async () => {
    Promise.reject(new Error('nobody waits for this'))
    return wait()
  },
  later: async () => {
    setTimeout(() => {
      throw new Error('thrown in a timer')
    }, 1)
    return wait()
  },
  unsettled: async () => forever,
  leaves: async () => process.exit(0),
  waits: wait,
  blocks: async () => {
    process.stderr.write('ready\n')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    return done
  },
  leftover: async () => {
    const path = process.env.LEFTOVER ?? ''
    writeFileSync(path, 'half')
    trackLeftover(path)
    return wait()
  },
  loud: async () => ({
    result: {},
    lines: Array.from({length: 20_000}, (_, line) => `line ${line}`),
  }),
  escapes: async () => ({result: {name: '\u001b[2J\u009b\u202e'}, lines: ['\u001b[2Jname\u202e']}),
  steps: async () => withProgress('counting', {quiet: false}, async () => done),
  asks: async () => {
    await ask('Which?', 'this', {allowed: true, flag: '--which'})
    return done
  },
}

function commandFor(id: string): Command.Class {
  return class extends BaseCommand<typeof BaseCommand> {
    static override id = id
    static override flags = {
      count: Flags.integer({env: 'FIXTURE_COUNT', min: 1}),
      kind: Flags.string({env: 'FIXTURE_KIND', options: ['big', 'small']}),
    }
    protected perform(): Promise<Outcome> {
      return (endings[id] ?? endings.works ?? wait)()
    }
  } as unknown as Command.Class
}

const ids = Object.keys(endings)
const tree: CommandTree = {
  root: dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
  facts: {name: 'rel-cli', version: '0.0.0', oclif: {bin: 'rel', topicSeparator: ' '}},
  ids: new Set(ids),
  load: async (id) => commandFor(id),
  manifest: async () => Object.fromEntries(ids.map((id) => [id, cached(id)])),
}

function cached(id: string): Command.Cached {
  return {id, aliases: [], hiddenAliases: [], hidden: false, args: {}, flags: {}}
}

main(process.argv.slice(2), tree, process.env.FIXTURE_PATH === 'full' ? 'full' : 'quick')
