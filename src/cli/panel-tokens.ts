import {addToken, tokenFacts} from '../panel/admin/tokens.ts'
import type {VerbName} from '../panel/store/store.ts'
import {timeText} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import type {PanelPlace} from './panel-flags.ts'
import {besidePanel, local} from './panel-place.ts'

/** `rel panel token new`: the token is in the result and nowhere else. */
export async function newPanelToken(
  name: string,
  flags: PanelPlace & {
    readonly verb: readonly VerbName[]
    readonly product?: readonly string[] | undefined
    readonly days: number
  },
): Promise<Outcome> {
  const {verb: verbs, product: products, days} = flags
  const terms = {name, verbs, days, ...(products === undefined ? {} : {products})}
  const {token, text} = await besidePanel(flags, (panel) => addToken(panel, terms, local))
  return {
    result: {...tokenFacts(token), token: text},
    lines: [`✔ Token ${token.id}, good until ${timeText(token.expires)}. It is shown once:`, text],
    undo: `rel panel token revoke ${token.id} --data DIR`,
  }
}

/** `rel panel token list`. */
export async function listPanelTokens(place: PanelPlace): Promise<Outcome> {
  const tokens = await besidePanel(place, ({store}) => store.tokens())
  return {
    result: {tokens: tokens.map(tokenFacts)},
    lines: tokens.map(({id, name, verbs, products, expires, revoked}) => {
      const standing = revoked ? 'revoked' : `until ${timeText(expires)}`
      return `${id}  ${verbs.join(' ')}  ${products?.join(' ') ?? 'all products'}  ${standing}  ${name}`
    }),
  }
}

/** `rel panel token revoke`. */
export async function revokePanelToken(id: string, place: PanelPlace): Promise<Outcome> {
  await besidePanel(place, ({store}) => store.revokeToken(id, local))
  return {result: {id, revoked: true}, lines: [`✔ Token ${id} is revoked.`]}
}
