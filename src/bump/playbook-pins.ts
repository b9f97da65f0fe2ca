import {z} from 'zod'

/** A path in the repository: relative, forward slashes, no way out and not into .git. */
export const repositoryPath = z
  .string()
  .min(1)
  .max(1024)
  .regex(/^(?!\/)(?!.*(^|\/)\.\.?(\/|$))(?!\.git(\/|$))[^\0\\]+$/)

const common = {
  file: repositoryPath.describe('File that holds the pin.'),
  input: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,39}$/)
    .default('NEW')
    .describe('The KEY of KEY=VALUE that this pin takes its value from.'),
  expect: z.literal(1).default(1).describe('How often the pin may be found: once.'),
}

const yamlPath = z
  .string()
  .min(1)
  .max(500)
  .regex(/^[^.\s][^\s]*$/)
  .describe('Keys from the top, separated by dots; numbers are places in a list.')

/** Where a version is written (docs/formats/playbook.md). */
export const pinSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('make_variable'),
    name: z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,99}$/),
    ...common,
  }),
  z.strictObject({kind: z.literal('yaml_path'), path: yamlPath, ...common}),
  z.strictObject({
    kind: z.literal('yaml_expression_default'),
    path: yamlPath,
    expression: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,99}$/)
      .describe('What stands before || in the expression, such as inputs.apt_snapshot.'),
    ...common,
  }),
  z.strictObject({
    kind: z.literal('regex'),
    pattern: z
      .string()
      .min(1)
      .max(500)
      .describe('Regular expression over single lines with one group (?<pin>…).'),
    ...common,
  }),
])

export type PinSpec = z.output<typeof pinSchema>
