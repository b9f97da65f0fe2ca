import {type Html, html} from './html.ts'
import {command, csrfField, field} from './layout.ts'

export type SignInForm = {
  readonly csrf: string
  /** Where to go afterwards, an address on this panel. */
  readonly next: string
  readonly wrong?: string
}

/** The way in. */
export function signInMain({csrf, next, wrong}: SignInForm): Html {
  return html`<div class="sign-in"><h1>Sign in</h1>
<form method="post" action="/sign-in">${csrfField({csrf})}<input type="hidden" name="next" value="${next}">
${field({
  name: 'token',
  label: 'Token',
  hint: 'It begins with relp_ and is kept nowhere in the browser.',
  type: 'password',
  required: true,
  maxLength: 200,
  ...(wrong === undefined ? {} : {wrong}),
})}
<div class="actions"><button class="go">Sign in</button></div></form>
<details><summary>No token yet?</summary><p>On the machine of the panel, one that reads for 30 days:</p>
${command('make a token', 'rel panel token new me --data DATA --verb audit --days 30')}
<p class="quiet">The first administrator’s is in the file admin-token of the data folder.</p></details></div>`
}

/** The address to go to after signing in: one of this panel, or its front page. */
export function nextOf(text: string | undefined): string {
  const isHere = /^\/(?!\/)[A-Za-z0-9/._~%+?=&-]{0,500}$/.test(text ?? '')
  return isHere && text !== undefined ? text : '/'
}
