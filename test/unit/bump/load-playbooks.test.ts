import {mkdirSync, renameSync, symlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {loadPlaybooks} from '../../../src/bump/load-playbooks.ts'
import {openGit} from '../../../src/system/git.ts'
import {gitEnv, type SampleRepository, sampleRepository} from '../../support/bump/repository.ts'
import {k3sPlaybook, sampleFiles} from '../../support/bump/sample.ts'
import {rejectsCode} from '../../support/rejects.ts'

const load = async ({root}: SampleRepository) => loadPlaybooks(await openGit(root, gitEnv))

test('the playbooks of a repository, and none where there are none', async () => {
  const repository = sampleRepository(sampleFiles)
  const items = (await load(repository)).map(({item}) => item)
  assert.equal(items, ['k3s', 'traefik'])
  assert.equal(await load(sampleRepository({file: ''})), [])
})

const hidden: readonly [string, (repository: SampleRepository) => void][] = [
  [
    'a playbook that is a link',
    ({root}) => {
      renameSync(join(root, 'playbooks/k3s.yaml'), join(root, 'other.yaml'))
      symlinkSync('../other.yaml', join(root, 'playbooks/k3s.yaml'))
    },
  ],
  [
    'a playbook that leads nowhere',
    ({root}) => symlinkSync('/nowhere', join(root, 'playbooks/a.yaml')),
  ],
  [
    'a folder of playbooks that is a link',
    ({root}) => {
      renameSync(join(root, 'playbooks'), join(root, 'elsewhere'))
      symlinkSync('elsewhere', join(root, 'playbooks'))
    },
  ],
  ['a playbook that is a folder', ({root}) => void mkdirSync(join(root, 'playbooks/a.yaml'))],
  [
    'a playbook that git ignores',
    (repository) => {
      repository.write('.gitignore', 'dist/\nk4s.yaml\n')
      repository.write('playbooks/k4s.yaml', k3sPlaybook.replace('item: k3s', 'item: k4s'))
    },
  ],
]
for (const [name, change] of hidden)
  test(`${name} is playbook_invalid`, async () => {
    const repository = sampleRepository(sampleFiles)
    change(repository)
    await rejectsCode(() => load(repository), 'playbook_invalid')
  })

test('a playbook that is not committed yet is read', async () => {
  const repository = sampleRepository(sampleFiles)
  repository.write('playbooks/k4s.yaml', k3sPlaybook.replace('item: k3s', 'item: k4s'))
  assert.is((await load(repository)).length, 3)
})

test.run()
