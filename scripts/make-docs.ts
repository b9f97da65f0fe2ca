import {readdirSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import type {Command} from '@oclif/core'
import {playbookSchemaText} from '../src/bump/new-playbook.ts'
import {configJsonSchema} from '../src/cli/config-schema.ts'
import {exitMeanings} from '../src/cli/exit-meanings.ts'
import {sourceManifest} from '../src/cli/source-tree.ts'
import {exitCodes} from '../src/system/codes/code.ts'
import {codeAreas, type ErrorCode, exitCodeOf} from '../src/system/codes.ts'
import {writeFileAtomic} from '../src/system/files.ts'
import {openapiDocument} from './openapi.ts'

/** Files that are made from the source, by path from the root of the checkout. */
export async function generatedFiles(root: string): Promise<ReadonlyMap<string, string>> {
  const manifest = await sourceManifest(root)
  return new Map([
    ['docs/error-codes.md', errorCodesPage()],
    ['docs/commands.md', commandsPage(manifest)],
    ['docs/openapi.json', await openapiDocument()],
    ['playbooks/playbook.schema.json', playbookSchemaText()],
    ['src/device/unit-templates.ts', unitTemplatesSource(root)],
    ['schemas/rel.config.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ])
}

/** Every program that carries them, a single executable too, can then write them. */
function unitTemplatesSource(root: string): string {
  const folder = 'templates/systemd'
  const entries = readdirSync(join(root, folder))
    .filter((name) => !name.startsWith('example'))
    .sort()
    .map(
      (name) => `  ${JSON.stringify(name)}: ${JSON.stringify(textOf(join(root, folder, name)))},`,
    )
  return [
    '// biome-ignore-all format: made by scripts/make-docs.ts',
    '// biome-ignore-all lint: made by scripts/make-docs.ts',
    `/** ${folder}, by name: change it there and run \`npm run docs\`. */`,
    'export const unitTemplates = {',
    ...entries,
    '} as const',
    '',
  ].join('\n')
}

/** Generated files whose content below `root` is another, or that are not there. */
export function outdatedFiles(root: string, files: ReadonlyMap<string, string>): string[] {
  return [...files]
    .filter(([path, text]) => textOf(join(root, path)) !== text)
    .map(([path]) => path)
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

const NOTICE = '<!-- Made by scripts/make-docs.ts from the source: change it there. -->'

function errorCodesPage(): string {
  const exits = Object.entries(exitCodes).map(([name, exit]) => {
    return `| ${exit} | ${exitMeanings[name as keyof typeof exitCodes]} |`
  })
  const areas = Object.entries(codeAreas).flatMap(([area, table]) => [
    `## ${area}`,
    '',
    ...Object.entries(table).flatMap(([code, {title, cause, fix}]) => [
      `### ${code}`,
      '',
      `${sentence(title)} Exit ${exitCodeOf(code as ErrorCode)}.`,
      '',
      `- Why: ${cause}`,
      `- Fix: ${fix}`,
      '',
    ]),
  ])
  return [
    NOTICE,
    '',
    '# Error codes',
    '',
    'A code is permanent and the same everywhere: on the command line, in JSON, in the panel, on a device, in the audit log. `rel explain CODE` prints its entry offline.',
    '',
    '| exit | meaning |',
    '|---|---|',
    ...exits,
    '',
    ...areas,
  ]
    .join('\n')
    .trimEnd()
    .concat('\n')
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function commandsPage(manifest: Readonly<Record<string, Command.Cached>>): string {
  const entries = Object.entries(manifest).sort(([a], [b]) => (a < b ? -1 : 1))
  const shared = Object.entries(entries[0]?.[1].flags ?? {}).filter(isGlobal)
  return [
    NOTICE,
    '',
    '# Commands',
    '',
    'Every command also takes:',
    '',
    ...shared.map(flagLine),
    '',
    'Words after `--` are never flags. `rel help COMMAND` prints the same on the terminal.',
    '',
    ...entries.flatMap(([id, command]) => commandSection(id, command)),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n')
}

function commandSection(id: string, command: Command.Cached): string[] {
  const name = `rel ${id.replaceAll(':', ' ')}`
  const flags = Object.entries(command.flags).filter((entry) => !isGlobal(entry))
  const args = Object.entries(command.args)
  const words = args.map(([arg, {required}]) => {
    return required === true ? arg.toUpperCase() : `[${arg.toUpperCase()}]`
  })
  return [
    `## ${name}`,
    '',
    command.summary ?? '',
    ...(command.description === undefined ? [] : ['', command.description]),
    '',
    '```',
    [name, ...words, ...(flags.length === 0 ? [] : ['[flags]'])].join(' '),
    ...(command.examples ?? []).map((example) => `$ ${exampleText(example)}`),
    '```',
    '',
    ...args.map(([arg, {description}]) => `- \`${arg.toUpperCase()}\` ${description ?? ''}`),
    ...flags.map(flagLine),
    ...(args.length + flags.length === 0 ? [] : ['']),
  ]
}

function exampleText(example: Command.Example): string {
  const text = typeof example === 'string' ? example : example.command
  return text.replaceAll('<%= config.bin %>', 'rel').replace(/^\$ /, '')
}

function isGlobal([, flag]: [string, {helpGroup?: string | undefined}]): boolean {
  return flag.helpGroup === 'GLOBAL'
}

function flagLine([name, flag]: [string, Command.Flag.Cached]): string {
  const long = flag.type === 'boolean' && flag.allowNo ? `--[no-]${name}` : `--${name}`
  const value = flag.type === 'option' ? `=${flag.helpValue ?? 'VALUE'}` : ''
  const short = flag.char === undefined ? '' : `, \`-${flag.char}\``
  const choices =
    flag.type === 'option' && flag.options ? ` One of ${flag.options.join(', ')}.` : ''
  const env = flag.type === 'option' && flag.env ? ` Environment: ${flag.env}.` : ''
  const required = flag.required === true ? ' Required.' : ''
  return `- \`${long}${value}\`${short} ${flag.summary ?? flag.description ?? ''}${choices}${env}${required}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)))
  const files = await generatedFiles(root)
  for (const path of outdatedFiles(root, files)) {
    writeFileAtomic(join(root, path), files.get(path) ?? '')
    process.stdout.write(`wrote ${path}\n`)
  }
}
