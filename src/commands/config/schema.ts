import {BaseCommand, type Outcome} from '../../cli/base-command.ts'
import type {JsonObject} from '../../system/json.ts'

export default class ConfigSchema extends BaseCommand<typeof ConfigSchema> {
  static override summary = 'Print the JSON Schema of rel.config.yaml.'
  static override examples = [
    '<%= config.bin %> config schema',
    '<%= config.bin %> config schema > rel.config.schema.json',
  ]

  protected async perform(): Promise<Outcome> {
    const {configJsonSchema} = await import('../../cli/config-schema.ts')
    const schema = configJsonSchema() as JsonObject
    return {result: {schema}, lines: [JSON.stringify(schema, null, 2)]}
  }
}
