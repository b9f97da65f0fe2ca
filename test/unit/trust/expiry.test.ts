import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseTime, timeText} from '../../../src/trust/expiry.ts'
import {throwsCode} from '../../support/rejects.ts'

const now = 1_767_225_600

const times: [string, number][] = [
  ['12h', now + 43_200],
  ['90d', now + 7_776_000],
  ['52w', now + 31_449_600],
  ['2027-01-31', 1_801_439_999],
  ['2027-01-31T12:00:00Z', 1_801_396_800],
  ['2028-02-29', 1_835_481_599],
  ['1801396800', 1_801_396_800],
]
for (const [text, secs] of times) {
  test(`reads ${text}`, () => assert.is(parseTime(text, now), secs))
}

const refused = [
  '',
  '90',
  '0d',
  '-1d',
  '1y',
  '90 d',
  '3661d',
  '99999w',
  '2027-02-29',
  '2027-13-01',
  '2027-01-32',
  '2027-1-1',
  '2027-01-31T12:00:00',
  '2027-01-31T12:00:00+01:00',
  '2027-01-31T24:00:00Z',
  '2027-01-31T12:00:60Z',
  'never',
  '1e9',
  '٣d',
]
for (const text of refused) {
  test(`refuses "${text}"`, () => {
    throwsCode(() => parseTime(text, now), 'time_malformed')
  })
}

test('prints a time as it reads it', () => {
  assert.is(timeText(1_801_396_800), '2027-01-31T12:00:00Z')
  assert.is(parseTime(timeText(now), 0), now)
})

test('a time without a date is shown too', () => {
  assert.is(timeText(8_640_000_000_000), '+275760-09-13T00:00:00Z')
  assert.is(timeText(Number.MAX_SAFE_INTEGER), '9007199254740991 s after 1970')
})

test.run()
