import type {BumpEvidence} from '../../../src/bump/evidence.ts'

/** Evidence with something in every field. */
export function sampleEvidence(change: Partial<BumpEvidence> = {}): BumpEvidence {
  return {
    item: 'traefik',
    title: 'Traefik reverse proxy',
    old: 'v3.3.4',
    new: 'v3.3.5',
    base: 'develop',
    branch: 'bump/traefik-v3.3.5',
    subject: 'chore(traefik): bump traefik v3.3.4 → v3.3.5',
    candidate: {version: 'v3.3.5', tag: 'v3.3.5', commit: 'b'.repeat(40)},
    assets: [
      {
        arch: 'amd64',
        name: 'traefik.tar.gz',
        sha256: 'a'.repeat(64),
        size: 1234,
        path: 'traefik.tar.gz',
        level: 'L2',
      },
    ],
    facts: [
      {
        subject: 'traefik.tar.gz',
        check: 'checksum file',
        by: 'github.com',
        level: 'L1',
        detail: 'as wanted',
      },
    ],
    level: 'L2',
    minimum: 'L1',
    gates: [
      {
        gate: 'boot-smoke arm64',
        verdict: 'passed',
        summary: 'booted in QEMU',
        caveats: ['QEMU has no GPU, so its firmware was not run.'],
        logs: [{path: 'boot.log', sha256: 'd'.repeat(64)}],
      },
    ],
    diffs: [{path: 'agent/Makefile', line: 2, diff: ''}],
    rollback: {
      commands: ['git revert HEAD', 'make vendor'],
      tree: 'f'.repeat(40),
      artifacts: [{path: 'agent/dist/traefik', sha256: 'c'.repeat(64)}],
      assets: [{name: 'traefik_old.tar.gz', arch: 'amd64', sha256: '9'.repeat(64), size: 1200}],
    },
    waivers: [{gate: 'gpu', reason: 'tried on a bench', by: 'ada', expires: 1_757_776_000}],
    signOff: {by: 'ada', keyId: 'KEY1', evidenceSha256: 'e'.repeat(64), signature: 'c2ln'},
    changelog: 'Fixed a leak.',
    advisories: ['CVE-2025-12345'],
    breaking: ['BREAKING: the flag is gone.'],
    warnings: ['the branch is behind'],
    ...change,
  }
}
