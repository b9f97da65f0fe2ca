import type {CodeTable} from './code.ts'

/** Codes of publishing to a panel and to GitHub Releases (docs/guides/publish.md). */
export const publishCodes = {
  oidc_request_failed: {
    exit: 'temporary',
    title: 'there is no identity for this run',
    cause: 'GitHub Actions, or the panel, answered the request for one with something else.',
    fix: 'See whether the job has permissions: id-token: write; try again.',
  },
  publish_name_refused: {
    exit: 'usage',
    title: 'a file cannot be published under its name',
    cause: 'GitHub renames it silently, or two files would have one name.',
    fix: 'Rename the file to letters, digits, dots, dashes, underscores and plus signs.',
  },
  publish_asset_too_large: {
    exit: 'usage',
    title: 'a file is larger than a release takes',
    cause: 'GitHub refuses an asset of 2 GiB or more, after it was sent.',
    fix: 'Split the file.',
  },
  publish_too_many_assets: {
    exit: 'usage',
    title: 'the release has more files than GitHub takes',
    cause: 'A release on GitHub has 1000 assets at most, signatures and manifest included.',
    fix: 'Publish archives instead of single files, or give --no-sidecars.',
  },
  publish_notes_too_long: {
    exit: 'usage',
    title: 'the release notes are longer than GitHub takes',
    cause: 'The body of a release has 125,000 characters at most.',
    fix: 'Shorten the notes and link to the whole text.',
  },
  github_token_missing: {
    exit: 'unauthorised',
    title: 'there is no token for GitHub',
    cause: 'Tokens come from the environment alone, never from an argument.',
    fix: 'Set GITHUB_TOKEN or REL_GITHUB_TOKEN; the token needs contents: write.',
  },
  github_tag_missing: {
    exit: 'upstreamMissing',
    title: 'the repository does not have the tag',
    cause: 'GitHub would make the tag at publication, on whatever commit is the newest then.',
    fix: 'Push the tag first, or give --create-tag together with the commit.',
  },
  github_tag_conflict: {
    exit: 'conflict',
    title: 'the tag points at another commit than was planned',
    cause:
      'What was built is not what the tag names: it was moved, or the build was of another one.',
    fix: 'Build from the tag, or tag the right commit under a new version.',
  },
  github_duplicate_release: {
    exit: 'conflict',
    title: 'there are several releases on GitHub for this tag',
    cause: 'GitHub allows many drafts for one tag; guessing which is meant could lose one.',
    fix: 'Look at the ids in the details, and delete the drafts that nobody needs.',
  },
  github_asset_conflict: {
    exit: 'conflict',
    title: 'the release on GitHub has another file than was planned',
    cause:
      'A published asset has other bytes, or there is one that the plan does not name. Nothing was deleted.',
    fix: 'Publish the new bytes under a new version; remove foreign files of a draft by hand.',
  },
  github_release_incomplete: {
    exit: 'conflict',
    title: 'the release on GitHub was published without all of its files',
    cause: 'It was published by another tool or by hand; rel never changes what is published.',
    fix: 'Publish under a new version; rel release reconcile shows what is missing.',
  },
  github_not_immutable: {
    exit: 'gate',
    title: 'the release on GitHub can still be changed',
    cause: 'Immutable releases were demanded, and the repository does not have them enabled.',
    fix: 'Enable immutable releases in the settings of the repository before publishing.',
  },
  github_answer_invalid: {
    exit: 'verification',
    title: 'GitHub answered something that is no answer of its API',
    cause:
      'A proxy or another server answers at this address, or it names a foreign host for uploads.',
    fix: 'Check the address of the API.',
  },
  publish_incomplete: {
    exit: 'temporary',
    title: 'the targets are not as planned',
    cause: 'Every step was done, but what the targets say afterwards is something else.',
    fix: 'rel release reconcile shows the difference; running rel publish again is safe.',
  },
  publish_readback_failed: {
    exit: 'verification',
    title: 'what comes back is not what was published',
    cause: 'A download by the way that users take gave other bytes, or none.',
    fix: 'Look for a proxy or cache in between; recall the release if the bytes are wrong.',
  },
  publish_probe_failed: {
    exit: 'verification',
    title: 'a licence does not see what it should',
    cause: 'The panel shows a licence more or less than its track and entitlements say.',
    fix: 'rel license explain says what the panel lets it see.',
  },
} as const satisfies CodeTable
