import {BaseCommand, type Outcome} from '../../cli/base-command.ts'

export default class KeysList extends BaseCommand<typeof KeysList> {
  static override summary = 'List the keys of this project.'
  static override description =
    'Keys in rel.keys (public halves) and .rel/keys (private halves) of the current directory. No private key is opened.'
  static override examples = ['<%= config.bin %> keys list', '<%= config.bin %> keys list --json']

  protected async perform(): Promise<Outcome> {
    const {listKeyFiles} = await import('../../cli/key-commands.ts')
    return listKeyFiles()
  }
}
