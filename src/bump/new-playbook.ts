import type {IntegrityLevel} from '../upstream/upstream.ts'
import {type Playbook, playbookJsonSchema} from './playbook.ts'
import {parsePlaybook} from './playbook-parse.ts'
import {upstreamSchema} from './playbook-upstreams.ts'

/** Kinds of upstream that a playbook may name. */
export const upstreamKinds: readonly string[] = upstreamSchema.options.map(
  ({shape}) => shape.kind.value,
)

/** The schema that lies beside playbooks, for editors; each playbook names it in its first line. */
export const SCHEMA_FILE = 'playbook.schema.json'

/** Its text. */
export function playbookSchemaText(): string {
  return `${JSON.stringify(playbookJsonSchema(), null, 2)}\n`
}

/** A release on GitHub in the words of questions; one file, others are added in the playbook. */
export type ReleaseAnswers = {
  readonly repository: string
  readonly file: string
  readonly arch: string
  /** Path of the program inside of the file; empty when the file is the program. */
  readonly member: string
  /** Name of the checksum file; empty for none. */
  readonly checksums: string
}

/** The keys of a github_release or k3s upstream as KEY=VALUE, as --upstream takes them. */
export function releaseKeys(answers: ReleaseAnswers): readonly string[] {
  const {repository, file: name, arch, member, checksums} = answers
  const asset = {arch, name, ...(member === '' ? {} : {member})}
  return [
    `repository=${repository}`,
    `assets=${JSON.stringify([asset])}`,
    ...(checksums === '' ? [] : [`checksums=${JSON.stringify([{name: checksums}])}`]),
  ]
}

/** What a new playbook is made from. */
export type PlaybookAnswers = {
  readonly item: string
  readonly title: string
  /** `KIND` and its keys as KEY=VALUE, such as github_release and repository=traefik/traefik. */
  readonly kind: string
  readonly upstream: readonly string[]
  readonly min: IntegrityLevel
  readonly file: string
  /** `make_variable:NAME`, `yaml_path:PATH`, `regex:PATTERN` or `yaml_expression_default:PATH EXPR`. */
  readonly pin: string
  readonly base: string
}

/** The text of a playbook, which is parsed before it is handed out. Refuses with playbook_invalid. */
export function newPlaybook(answers: PlaybookAnswers): {text: string; playbook: Playbook} {
  const {item, title, kind, upstream, min, file, base} = answers
  const keys = upstream.map((word) => {
    const at = word.indexOf('=')
    return `  ${word.slice(0, at)}: ${scalarOf(word.slice(at + 1))}`
  })
  const text = [
    `# yaml-language-server: $schema=./${SCHEMA_FILE}`,
    `item: ${quoted(item)}`,
    `title: ${quoted(title)}`,
    'upstream:',
    `  kind: ${quoted(kind)}`,
    ...keys,
    'verify:',
    `  min: ${min}`,
    'pins:',
    `  - file: ${quoted(file)}`,
    ...pinLines(answers.pin).map((line) => `    ${line}`),
    ...gateLines(kind, item),
    'change:',
    `  base: ${quoted(base)}`,
    '',
  ].join('\n')
  return {text, playbook: parsePlaybook(text, `playbooks/${item}.yaml`)}
}

/** A kernel must boot and be signed off, so these two gates are there from the start. */
function gateLines(kind: string, item: string): string[] {
  const about = '# what must pass before the change is committed: docs/formats/playbook.md'
  if (kind !== 'apt_kernel')
    return [
      about,
      '# gates:',
      `#   - {uses: command, name: says its version, run: [dist/${item}, --version]}`,
    ]
  return [
    about,
    'gates:',
    '  # the initrd that vendor.run leaves; the kernel is the one in the verified package',
    "  - {uses: boot_smoke, initrd: build/initrd.img, release: '{new}'}",
    '  - {uses: sign_off}',
  ]
}

function pinLines(pin: string): string[] {
  const at = pin.indexOf(':')
  const kind = pin.slice(0, at)
  const rest = pin.slice(at + 1)
  const [path = '', expression = ''] = rest.split(' ')
  const keys: Readonly<Record<string, readonly string[]>> = {
    make_variable: [`name: ${quoted(rest)}`],
    yaml_path: [`path: ${quoted(rest)}`],
    yaml_expression_default: [`path: ${quoted(path)}`, `expression: ${quoted(expression)}`],
    regex: [`pattern: ${quoted(rest)}`],
  }
  return [`kind: ${quoted(kind)}`, ...(keys[kind] ?? [])]
}

/** JSON in the place of a value is taken as YAML, so that lists and maps can be given. */
function scalarOf(text: string): string {
  return /^[[{]/.test(text) || /^(true|false|\d+)$/.test(text) ? text : quoted(text)
}

/** Double-quoted YAML is a superset of JSON text; plain where nothing could be misread. */
function quoted(text: string): string {
  return /^[A-Za-z][A-Za-z0-9_./-]*$/.test(text) && !/^(true|false|null|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text)
}
