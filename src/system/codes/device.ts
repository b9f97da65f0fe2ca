import type {CodeTable} from './code.ts'

/** Codes of the updater on a node (docs/guides/device.md); the first seven are those of D1. */
export const deviceCodes = {
  upgrade_disabled: {
    exit: 'gate',
    title: 'updates are switched off on this node',
    cause: 'The configuration of the node has upgrade.enabled false, or does not have it.',
    fix: 'Set upgrade.enabled to true in device.json on the node.',
  },
  upgrade_channel_not_allowed: {
    exit: 'gate',
    title: 'the node does not take this channel',
    cause: 'The signed channel is not in upgrade.allowed_channels of the node.',
    fix: 'Add the channel to upgrade.allowed_channels in device.json, or use another release.',
  },
  upgrade_version_too_old: {
    exit: 'gate',
    title: 'the version is older than the node takes',
    cause:
      'The signed version is below upgrade.min_version of the node, its floor, or what it runs: an attacker could bring old holes back.',
    fix: 'Use a newer release; rel device rollback goes back to the version before.',
  },
  upgrade_signature_invalid: {
    exit: 'verification',
    title: 'the manifest is not signed by whom the node trusts',
    cause: 'The signature did not pass with the trust anchor of the node; cause_code says why.',
    fix: 'Do not use it. Fetch it again; if it fails again, tell its maker.',
  },
  upgrade_checksum_mismatch: {
    exit: 'verification',
    title: 'the files are not the signed ones',
    cause: 'A file is missing, changed, or not in the signed manifest; cause_code says which.',
    fix: 'Fetch the bundle again; if it fails again, tell its maker.',
  },
  upgrade_disk_full: {
    exit: 'local',
    title: 'there is not enough space for the update',
    cause:
      'Free space must be three times the archive, and enough for the unpacked files; what runs is untouched.',
    fix: 'Free space on the file system of the node, then run it again.',
  },
  upgrade_rolled_back: {
    exit: 'rolledBack',
    title: 'the new version did not become healthy and was taken back',
    cause: 'The health check did not pass in time, so the version before runs again.',
    fix: 'Look at the log of the program; the version is not tried again without --retry.',
  },
  upgrade_not_newer: {
    exit: 'gate',
    title: 'the node runs this version already',
    cause: 'The signed version is the one that is installed.',
    fix: 'Nothing is to be done; rel device status shows what runs.',
  },
  upgrade_blocked: {
    exit: 'gate',
    title: 'this version failed on this node before',
    cause: 'The same bytes were rolled back here; trying them again by itself would be a loop.',
    fix: 'Use a newer release, or give --retry.',
  },
  upgrade_step_missing: {
    exit: 'gate',
    title: 'another version must be installed first',
    cause: 'The manifest signs the lowest version from which it may be applied.',
    fix: 'Install the version that the message names first.',
  },
  upgrade_policy_manual: {
    exit: 'gate',
    title: 'the policy of the node leaves this to a person',
    cause: 'With --unattended, only what upgrade.policy allows is done.',
    fix: 'Run it without --unattended, or change upgrade.policy in device.json.',
  },
  upgrade_nothing_staged: {
    exit: 'conflict',
    title: 'no update is staged',
    cause: 'There is nothing that could be applied.',
    fix: 'rel device stage BUNDLE',
  },
  upgrade_no_previous: {
    exit: 'conflict',
    title: 'there is no version to go back to',
    cause: 'Only the version before the last commit can be brought back, and only once.',
    fix: 'Stage a newer release instead.',
  },
  upgrade_staged_corrupt: {
    exit: 'verification',
    title: 'what was staged is no longer as signed',
    cause: 'The staged files were changed on disk after they were verified.',
    fix: 'Stage the bundle again.',
  },
  upgrade_rollback_failed: {
    exit: 'local',
    title: 'the version before could not be brought back',
    cause: 'The target of the rollback is missing or no longer as signed.',
    fix: 'rel device verify shows what is wrong; then stage a newer release by hand.',
  },
  upgrade_state_corrupt: {
    exit: 'conflict',
    title: 'the records of the updater are missing or damaged',
    cause:
      'state.json or floor.json cannot be relied on. What runs is untouched, and nothing is guessed: a floor of zero would let old versions in.',
    fix: 'rel device init DIR --repair rebuilds them from what runs and still verifies.',
  },
  upgrade_layout_invalid: {
    exit: 'conflict',
    title: 'the folder of the node is not as the updater left it',
    cause:
      'A link leads elsewhere, or something else lies where a version should be; rel does not remove what it did not make.',
    fix: 'Put back what the message names; rel device init DIR --repair sets the links again.',
  },
  upgrade_config_invalid: {
    exit: 'usage',
    title: 'the configuration of the node cannot be used',
    cause: 'device.json is missing, or has an unknown key or a value of the wrong kind.',
    fix: 'Correct the key that is named; docs/formats/device-state.md lists them.',
  },
  upgrade_busy: {
    exit: 'temporary',
    title: 'another process is updating this node',
    cause:
      'One process at a time acts on a node: it writes a version, or waits for its restart and health, two windows at most. pid says which, where the system tells.',
    fix: 'Wait for it to end, then run it again; rel device rollback ends a trial at once.',
  },
  upgrade_identity_not_allowed: {
    exit: 'verification',
    title: 'the manifest is not signed by an allowed identity',
    cause:
      'The Sigstore bundle is missing or not valid, or its identity is none that the trust anchor of the node allows; cause_code says which.',
    fix: 'Sign with the allowed workflow; a renamed one must first be allowed by a release of the old one.',
  },
  upgrade_license_invalid: {
    exit: 'unauthorised',
    title: 'the licence of the node cannot be used',
    cause:
      'It is missing, damaged, not signed by a licence key of the trust anchor, of another product, or does not open this channel; cause_code says which.',
    fix: 'Put a good licence file at DIR/license (rel license issue makes one, rel license inspect reads it), then run it again. What runs is untouched.',
  },
  upgrade_license_frozen: {
    exit: 'unauthorised',
    title: 'the licence of the node is frozen',
    cause:
      'It has expired, or was frozen or revoked: the node keeps what runs and takes nothing new.',
    fix: 'Renew the licence; the node goes on by itself once it has the new file.',
  },
  upgrade_source_missing: {
    exit: 'usage',
    title: 'the node has no source of new versions',
    cause: 'device.json has no source, and no bundle was given.',
    fix: 'Add source to device.json, or name a bundle: rel device stage DIR BUNDLE.',
  },
  upgrade_source_unreachable: {
    exit: 'temporary',
    title: 'the source of new versions did not answer',
    cause: 'It cannot be reached, is too slow, or is in trouble itself. What runs is untouched.',
    fix: 'Wait and run it again; rel device run waits by itself.',
  },
  upgrade_source_invalid: {
    exit: 'verification',
    title: 'the source gave an answer that cannot be used',
    cause: 'The answer is not of the form that its protocol has, or contradicts what is signed.',
    fix: 'Tell its operator. What runs is untouched, and nothing of the answer was kept.',
  },
  upgrade_source_rewound: {
    exit: 'verification',
    title: 'the source says less than it said before',
    cause:
      'Its release log is shorter than the one this node saw, or another one: somebody put it back, or shows nodes different things.',
    fix: 'Ask its operator whether it was restored from a backup. What runs is untouched.',
  },
  upgrade_download_failed: {
    exit: 'temporary',
    title: 'the download did not come to its end',
    cause: 'The source refused, broke off or was too slow; what came is kept and continued.',
    fix: 'Run it again.',
  },
  upgrade_size_exceeded: {
    exit: 'verification',
    title: 'the source sent more bytes than are signed',
    cause: 'The download was ended as soon as it was longer than its signed size.',
    fix: 'Tell its operator. Nothing of it was kept.',
  },
  upgrade_delta_failed: {
    exit: 'verification',
    title: 'the delta does not give the signed files',
    cause: 'It is damaged, made for another version, or larger than this node takes.',
    fix: 'Nothing: the whole bundle is fetched instead.',
  },
  upgrade_clock_untrusted: {
    exit: 'gate',
    title: 'the clock of the node is behind what was signed',
    cause:
      'It shows a time more than a day before the latest signed time this node has seen, so expiry cannot be judged.',
    fix: 'Set the clock, then run it again. What runs is untouched.',
  },
  upgrade_grant_invalid: {
    exit: 'unauthorised',
    title: 'the grant does not allow this node to go back',
    cause:
      'It is not signed by a rollback key of the trust anchor, has expired, was used, or names another product, node or version; cause_code says which.',
    fix: 'rel device grant makes one for this node and these versions.',
  },
  upgrade_degraded: {
    exit: 'local',
    title: 'no version of this node is known to be good',
    cause:
      'The new version failed and the one before could not be brought back; the node is left with what it has and is not changed again by itself.',
    fix: 'rel device verify shows what is wrong; stage a good release by hand, or rel device init DIR --repair.',
  },
  upgrade_io_error: {
    exit: 'local',
    title: 'the disk of the node does not work',
    cause: 'Reading or writing failed (an I/O error, or a read-only file system).',
    fix: 'Look at the disk and its mount; run it again, it goes on where it was.',
  },
  app_running: {
    exit: 'temporary',
    title: 'the program is running',
    cause: 'upgrade.policy is apply_when_stopped, and the stopped command says that it runs.',
    fix: 'Stop the program, or apply without --unattended.',
  },
} as const satisfies CodeTable
