import {exitCodes} from '../system/codes/code.ts'
import {codes} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import type {CommandTree} from './command-tree.ts'
import {exitMeanings} from './exit-meanings.ts'
import {fullConfig} from './oclif-config.ts'

/** The help of a command, a topic or, without words, of rel; `exit-codes` is a page of its own. */
export async function helpText(tree: CommandTree, words: readonly string[]): Promise<string> {
  if (words.length === 1 && words[0] === 'exit-codes') return exitCodePage()
  const {CommandHelp, Help} = await import('@oclif/core')
  const config = await fullConfig(tree)
  const pieces: string[] = []
  /** Examples come before flags, and the usage line names arguments and flags that must be given. */
  class PlainCommandHelp extends CommandHelp {
    protected override defaultUsage(): string {
      const {args, flags, strict} = this.command
      const words = Object.values(args).map(({name, required}, at, {length}) => {
        const word = `${name.toUpperCase()}${strict || at < length - 1 ? '' : '...'}`
        return required ? word : `[${word}]`
      })
      const needed = Object.values(flags).filter(({required}) => required)
      const given = needed.map(
        (flag) => `--${flag.name} ${flag.type === 'option' ? (flag.helpValue ?? 'VALUE') : ''}`,
      )
      return ['<%= command.id %>', ...words, ...given, '[FLAGS]'].join(' ')
    }

    protected override description(): string | undefined {
      const {description} = this.command
      return description && this.wrap(this.render(description))
    }

    protected override groupFlags(
      flags: Parameters<InstanceType<typeof CommandHelp>['groupFlags']>[0],
    ) {
      const {mainFlags, flagGroups} = super.groupFlags(flags)
      const {GLOBAL = [], ...groups} = flagGroups
      return {mainFlags, flagGroups: {...groups, GLOBAL}}
    }

    protected override sections() {
      const order = ['USAGE', 'DESCRIPTION', 'EXAMPLES']
      const rank = ({header}: {readonly header: string}) => order.indexOf(header) >>> 0
      return super.sections().sort((a, b) => rank(a) - rank(b))
    }
  }
  class CollectedHelp extends Help {
    protected override CommandHelpClass = PlainCommandHelp
    protected override log(...args: string[]): void {
      pieces.push(args.join(' '))
    }
  }
  const stripAnsi = process.stdout.isTTY !== true
  await new CollectedHelp(config, {...config.pjson.oclif.helpOptions, stripAnsi}).showHelp([
    ...words,
  ])
  return pieces.join('\n').trimEnd()
}

/** `rel help exit-codes`, from the same table as the codes themselves. */
function exitCodePage(): string {
  const rows = Object.entries(exitCodes).map(([name, exit]) => {
    const meaning = exitMeanings[name as keyof typeof exitCodes]
    return `  ${String(exit).padStart(3)}  ${meaning}`
  })
  const total = Object.keys(codes).length
  return ['EXIT CODES', ...rows, '', `${total} error codes lead to these: rel explain`].join('\n')
}

/** Refused when the help of something unknown is asked for. */
export function checkHelpWords(tree: CommandTree, words: readonly string[]): void {
  const id = words.join(':')
  const known = [...tree.ids, 'autocomplete', 'exit-codes']
  if (words.length === 0 || known.some((name) => name === id || name.startsWith(`${id}:`))) return
  throw new RelError('command_unknown', `no help for ${JSON.stringify(words.join(' '))}`)
}
