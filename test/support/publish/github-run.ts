import * as assert from 'uvu/assert'
import type {GitHubPlan} from '../../../src/release/publish/plan.ts'
import type {Published} from '../../../src/release/publish/run.ts'
import {type FakeGitHub, startFakeGitHub} from '../github/fake-github.ts'
import {publication, REPOSITORY, type ReleaseFolder} from './publication.ts'

/** Works with a GitHub of its own, of which nothing published may be deleted. */
export async function withGitHub(
  work: (fake: FakeGitHub) => Promise<void>,
  tags: readonly string[] = ['v2.0.0'],
): Promise<void> {
  const fake = await startFakeGitHub({repositories: [{name: REPOSITORY, tags}]})
  try {
    await work(fake)
    assert.not(
      fake.releases.deleted.some(({wasDraft}) => !wasDraft),
      'something published was deleted',
    )
  } finally {
    await fake.close()
  }
}

/** One publication to GitHub alone. */
export async function runOn(
  from: ReleaseFolder,
  fake: FakeGitHub,
  github: Partial<GitHubPlan> = {},
): Promise<Published> {
  return (await publication(from, {github: fake}, {github})).run()
}
