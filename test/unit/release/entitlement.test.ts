import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {channelsOf, coversComponent, visible} from '../../../src/release/entitlement.ts'
import {licenseStates, trackNames} from '../../../src/release/license.ts'
import {channelNames} from '../../../src/release/release.ts'
import {testNow} from '../../support/anchors.ts'

/** Written by hand from D0: what each licence may see when all is well. */
const open: Readonly<Record<string, string>> = {
  'stable ': 'stable',
  'stable channel:canary': 'stable canary',
  'stable channel:beta': 'stable',
  'stable component:agent': 'stable',
  'prerelease ': 'rc beta',
  'prerelease channel:canary': 'rc beta canary',
  'prerelease channel:stable': 'rc beta',
  'prerelease component:agent': 'rc beta',
}
const entitlements = ['', 'channel:canary', 'channel:beta', 'channel:stable', 'component:agent']
const releaseStates = ['draft', 'published', 'recalled'] as const

let cases = 0
for (const track of trackNames)
  for (const entitlement of entitlements)
    test(`${track} with ${entitlement || 'nothing'} more: every channel, state, release state`, () => {
      const license = {
        product: 'edge-agent',
        track,
        entitlements: entitlement === '' ? [] : [entitlement],
        expires: testNow + 10,
      }
      const seen = (open[`${track} ${entitlement}`] ?? open[`${track} `] ?? '').split(' ')
      assert.equal(channelsOf(license), seen)
      for (const channel of channelNames)
        for (const state of licenseStates)
          for (const release of releaseStates)
            for (const now of [testNow, testNow + 9, testNow + 10, testNow + 1e6])
              for (const product of ['edge-agent', 'other']) {
                cases++
                const got = visible(license, state, {product, channel, state: release}, now)
                const label = `${channel} ${state} ${release} ${now - testNow} ${product}`
                assert.equal(shown(got), want(), label)
                function want(): string {
                  if (state === 'revoked') return 'refused license_revoked'
                  if (state === 'frozen' || now >= testNow + 10) return 'refused license_frozen'
                  if (product !== 'edge-agent') return 'hidden other_product'
                  if (release === 'draft') return 'hidden draft'
                  if (!seen.includes(channel)) return 'hidden other_channel'
                  return release === 'recalled' ? 'recalled' : 'visible'
                }
              }
    })

function shown(verdict: ReturnType<typeof visible>): string {
  if (verdict.verdict === 'refused') return `refused ${verdict.code}`
  return verdict.verdict === 'hidden' ? `hidden ${verdict.reason}` : verdict.verdict
}

test('the table is the whole cross product', () => {
  assert.is(cases, 2 * 5 * 4 * 3 * 3 * 4 * 2)
})

test('stable and prerelease never share a channel', () => {
  const stable = channelsOf({track: 'stable', entitlements: []})
  const prerelease = channelsOf({track: 'prerelease', entitlements: []})
  assert.equal(
    stable.filter((channel) => prerelease.includes(channel)),
    [],
  )
})

test('component entitlements limit, none of them covers all', () => {
  assert.ok(coversComponent({entitlements: []}, 'agent'))
  assert.ok(coversComponent({entitlements: ['channel:canary']}, 'agent'))
  assert.ok(coversComponent({entitlements: ['component:agent', 'component:cli']}, 'agent'))
  assert.not(coversComponent({entitlements: ['component:cli']}, 'agent'))
})

test.run()
