import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {githubTokenFor} from '../../../src/bump/github-token.ts'

const cases: readonly [string, string, Record<string, string>, string | undefined][] = [
  ['GitHub', 'https://api.github.com', {GITHUB_TOKEN: 't'}, 't'],
  [
    'GitHub, our own variable first',
    'https://api.github.com',
    {GITHUB_TOKEN: 't', REL_GITHUB_TOKEN: 'r'},
    'r',
  ],
  ['no token', 'https://api.github.com', {}, undefined],
  ['another server', 'https://evil.example', {GITHUB_TOKEN: 't'}, undefined],
  [
    'a name that begins alike',
    'https://api.github.com.evil.example',
    {GITHUB_TOKEN: 't'},
    undefined,
  ],
  ['without encryption', 'http://api.github.com', {GITHUB_TOKEN: 't'}, undefined],
  ['another port', 'https://api.github.com:8443', {GITHUB_TOKEN: 't'}, undefined],
  [
    'Enterprise',
    'https://ghe.example/api/v3',
    {GITHUB_TOKEN: 't', GITHUB_API_URL: 'https://ghe.example/api/v3'},
    't',
  ],
  [
    'GitHub from Enterprise',
    'https://api.github.com',
    {GITHUB_TOKEN: 't', GITHUB_API_URL: 'https://ghe.example/api/v3'},
    undefined,
  ],
]
for (const [name, url, env, wanted] of cases)
  test(`the token goes to the API it is of: ${name}`, () => {
    assert.is(githubTokenFor(url, env), wanted)
  })

test.run()
