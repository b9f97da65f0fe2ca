import {z} from 'zod'

/** A name as manifests allow it (docs/formats/manifest.md). */
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)

/** What rel.config.yaml may say. Its keys are the names of the flags they stand in for. */
export const configSchema = z
  .strictObject({
    $schema: z.string().max(1024).optional().describe('Where editors find this schema.'),
    product: name.optional().describe('Product that bundles of this project belong to.'),
    channel: name.optional().describe('Channel to sign for, such as stable.'),
    key: z
      .string()
      .min(1)
      .max(1024)
      .optional()
      .describe(
        'Signing key: a name from rel keys list, a path with a slash from this file, or a signer; exec: and pkcs11: only in your own file.',
      ),
    trust: z
      .string()
      .min(1)
      .max(1024)
      .optional()
      .describe(
        'Trust anchor: a path from this file. A project’s file names it for rel trust; to verify with it, give --trust, or name it in your own file.',
      ),
  })
  .describe('Defaults for rel in this project. Flags and environment variables come first.')

/** The schema for editors, draft 7 because yaml-language-server reads no later one. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {target: 'draft-7', io: 'input'})
  return {...schema, title: 'rel.config.yaml'}
}
