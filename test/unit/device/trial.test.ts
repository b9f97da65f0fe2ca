import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../../src/device/apply.ts'
import type {Device} from '../../../src/device/device.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {deadlineOf, idOfTrial, type Trial, trialText} from '../../../src/device/trial.ts'
import {makeNode, makeSources, plain} from '../../support/device/node.ts'
import {throwsCode} from '../../support/rejects.ts'

const trial: Trial = {
  id: 7,
  profile: {kind: 'tree'},
  from: '1.0.0',
  fromDigest: '',
  to: '1.1.0',
  maxAttempts: 3,
  windowSecs: 120,
  bootId: 'b',
  deadline: 400,
}

test('the guard waits for the restart, for health, and some more', () => {
  assert.is(deadlineOf(10.2, 120), 11 + 2 * 120 + 30)
})

test('a trial is known by both of its versions, and whole', () => {
  const text = trialText(trial)
  assert.is(idOfTrial(text, trial), 7)
  assert.is(idOfTrial(text, {from: '1.0.1', to: '1.1.0'}), undefined)
  assert.is(idOfTrial(text, {from: '1.0.0', to: '1.1.1'}), undefined)
  for (let at = 0; at < text.length - 1; at++)
    assert.is(idOfTrial(text.slice(0, at), trial), undefined, `${at}`)
})

test('a path that would be two lines to the guard is refused', () => {
  const profile = {kind: 'binary', path: '/opt/a\nto=9.9.9', component: 'a'} as const
  throwsCode(() => trialText({...trial, profile}), 'upgrade_config_invalid')
})

test('a trial that is interrupted is the same one to the guard', async () => {
  const sources = await makeSources('1.0.0', '1.1.0')
  const device = await makeNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  const cut = async () => Promise.reject(new Error('power cut'))
  const cutting: Device = {...device, world: {...device.world, health: cut}}
  const versions = {from: '1.0.0', to: '1.1.0'}
  const id = () => idOfTrial(readFileSync(join(device.root, '.rel/trial'), 'latin1'), versions)
  await apply(cutting, plain).catch(() => undefined)
  const first = id()
  assert.type(first, 'number')
  await resume(cutting).catch(() => undefined)
  assert.is(id(), first)
})

test.run()
