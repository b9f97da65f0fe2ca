import type {CodeTable} from './code.ts'

export const bumpCodes = {
  playbook_invalid: {
    exit: 'usage',
    title: 'a playbook does not say what a playbook must',
    cause:
      'An unknown or repeated key, a value of the wrong kind, or a playbook without verify.min. A playbook decides what is trusted, so nothing in it is guessed.',
    fix: 'Correct the line that is named; the editor completes keys with playbooks/playbook.schema.json.',
  },
  pin_missing: {
    exit: 'gate',
    title: 'the pin is not where its playbook says',
    cause:
      'The file has no place that sets the version as the playbook describes it: the variable, key or line was renamed, or the file is another one.',
    fix: 'Correct the pin in the playbook, or the file that it names.',
  },
  pin_ambiguous: {
    exit: 'gate',
    title: 'the pin is found more than once',
    cause:
      'Several places set the same thing and rel cannot know which of them takes effect. The lines are named in the message.',
    fix: 'Leave one place in the file, or make the playbook name one of them.',
  },
  pin_unsupported: {
    exit: 'gate',
    title: 'the place of the pin cannot be edited safely',
    cause:
      'The value is computed, is a number or a block, is shared through an anchor, or is written with escapes: replacing its bytes could mean something else than it says.',
    fix: 'Write the version as plain or quoted text of its own.',
  },
  pin_unreadable: {
    exit: 'gate',
    title: 'the file of the pin cannot be read',
    cause:
      'The file is no UTF-8 text, or no YAML where the pin is a path in YAML, or YAML with more parts or levels than anybody writes.',
    fix: 'Repair the file, or name another one in the playbook.',
  },
  pattern_too_slow: {
    exit: 'usage',
    title: 'a pattern of a playbook takes too long',
    cause:
      'A regular expression of a playbook did not come to an end in three seconds. Repetitions within repetitions, such as (a+)+, take twice as long for each further character.',
    fix: 'Write the pattern without a repetition inside of another one.',
  },
  pin_value_refused: {
    exit: 'usage',
    title: 'the new value cannot be written there',
    cause:
      'A version is letters, digits and a few signs, so that no value becomes syntax of make, YAML or a shell; and YAML must read it as text.',
    fix: 'Check NEW=…; where the message says so, put the old value in quotes first.',
  },
  pin_edit_unproved: {
    exit: 'bug',
    title: 'an edited file did not read back as it should',
    cause:
      'Every edit is proved by reading the new bytes again and by comparing all others. This proof failed, so nothing was written.',
    fix: 'Report it with the playbook and the file.',
  },
  playbook_missing: {
    exit: 'usage',
    title: 'there is no playbook of that item',
    cause: 'Playbooks are files playbooks/ITEM.yaml of the repository; none has this name.',
    fix: 'rel bump list shows the items; rel bump new writes a playbook.',
  },
  pins_disagree: {
    exit: 'gate',
    title: 'two pins of one item have different values',
    cause:
      'The item is pinned in several places that must say the same, and they do not: nobody can say which version is current.',
    fix: 'Make the files agree in a commit of its own.',
  },
  version_same: {
    exit: 'conflict',
    title: 'the pin has that version already',
    cause: 'A bump that moves nothing would be an empty change.',
    fix: 'Give another version; rel bump audit ITEM checks the current one again.',
  },
  downgrade_refused: {
    exit: 'gate',
    title: 'the new version is older than the current one',
    cause:
      'Going back loses fixes. By the order of the upstream itself the new version is below the one in the file.',
    fix: 'rel rollback ITEM goes back to the version before; --rollback allows any older one.',
  },
  version_too_young: {
    exit: 'temporary',
    title: 'the version has not been public for long enough',
    cause:
      'The playbook demands that a version is public for some hours, so that a compromised release is found by others first. A version without a date counts as new.',
    fix: 'Wait until the time in the message, or change verify.min_age_hours in a change of its own.',
  },
  second_pin: {
    exit: 'gate',
    title: 'the change moves the pin of another item as well',
    cause:
      'Items have different smoke tests and different ways back, so each is bumped in a change of its own.',
    fix: 'Take the other pin out of the change, or push it first.',
  },
  lock_invalid: {
    exit: 'gate',
    title: 'rel.lock.json cannot be read',
    cause:
      'The lock file was edited by hand or merged badly; what it says about the pins cannot be relied on.',
    fix: 'Restore it from the base branch, or resolve the merge.',
  },
  git_no_repository: {
    exit: 'usage',
    title: 'the folder is in no git work tree',
    cause: 'Pins are moved in commits.',
    fix: 'Run the command inside of the repository.',
  },
  git_no_commit: {
    exit: 'usage',
    title: 'the repository has no commit yet',
    cause:
      'Pins and the lock are read from the current commit, so that what is said of them is true of a state that others can get.',
    fix: 'Commit the playbooks and the files with the pins: git add . && git commit.',
  },
  git_failed: {
    exit: 'local',
    title: 'git refused to do something',
    cause: 'git itself ended with an error; its last line is in the message.',
    fix: 'Correct what git complains about and run the command again.',
  },
  git_identity_missing: {
    exit: 'usage',
    title: 'git does not know who commits',
    cause: 'A commit needs a name and an address.',
    fix: 'git config user.name NAME && git config user.email ADDRESS',
  },
  head_detached: {
    exit: 'conflict',
    title: 'HEAD is on no branch',
    cause: 'A bump starts from the base branch of its playbook, so that what it changes is known.',
    fix: 'git switch to the base branch.',
  },
  branch_wrong: {
    exit: 'conflict',
    title: 'HEAD is on another branch than the base branch',
    cause: 'A bump starts from the base branch of its playbook.',
    fix: 'git switch to the branch in the message, or correct change.base.',
  },
  tree_dirty: {
    exit: 'conflict',
    title: 'the work tree has uncommitted changes',
    cause: 'Changes that are not committed would be left out of the gates or slip into the change.',
    fix: 'Commit or stash them, then run the command again.',
  },
  branch_taken: {
    exit: 'conflict',
    title: 'the branch of the bump holds somebody’s work',
    cause:
      'A branch of that name exists here or on the remote with other commits than this item’s bump, or is checked out.',
    fix: 'Rename or merge that branch, or change change.branch of the playbook.',
  },
  tag_taken: {
    exit: 'conflict',
    title: 'the tag of the bump exists already',
    cause: 'Tags are not moved.',
    fix: 'Delete the tag if it is a leftover, or change change.tag_name of the playbook.',
  },
  bump_in_progress: {
    exit: 'conflict',
    title: 'another process is bumping the item',
    cause: 'Two bumps of one item at once would build on each other’s halves.',
    fix: 'Wait for the other one.',
  },
  bump_unfinished: {
    exit: 'conflict',
    title: 'an earlier bump of the item was interrupted',
    cause: 'Its journal is still there.',
    fix: 'rel bump resume ITEM goes on, rel bump abort ITEM takes it back.',
  },
  bump_not_running: {
    exit: 'usage',
    title: 'there is no interrupted bump',
    cause: 'Nothing is to be resumed or taken back.',
    fix: 'Start one with rel bump ITEM NEW=VERSION.',
  },
  playbook_changed: {
    exit: 'conflict',
    title: 'the playbook changed while the bump was interrupted',
    cause: 'Steps that are over were done by other rules than those that would follow.',
    fix: 'rel bump abort ITEM, then start again.',
  },
  journal_damaged: {
    exit: 'local',
    title: 'the journal of a bump is not as it was written',
    cause: 'The file was edited or its disk damaged; going on from it could do the wrong thing.',
    fix: 'rel bump abort ITEM, then start again.',
  },
  change_escaped: {
    exit: 'gate',
    title: 'a command of the playbook changed other tracked files',
    cause:
      'The change is the pin, the lock and the vendored files of the playbook; anything else would slip in unseen.',
    fix: 'Name the file under vendor.artifacts, or correct the command.',
  },
  vendor_failed: {
    exit: 'gate',
    title: 'the vendoring command failed',
    cause: 'The playbook’s own command could not fetch or build the new version; its log is kept.',
    fix: 'Read the log, correct the command, and run the bump again.',
  },
  rollback_failed: {
    exit: 'gate',
    title: 'the way back does not lead back',
    cause:
      'The rollback plan was tried on a scratch work tree and did not give the tree or the files from before, so it is not offered.',
    fix: 'Correct vendor.run or pin the vendored files; then run the bump again.',
  },
  gate_sign_off_missing: {
    exit: 'gate',
    title: 'nobody signed the change off',
    cause: 'The playbook demands the signature of a release engineer, and so does every waiver.',
    fix: 'Run it again with --sign-off KEY.',
  },
  sign_off_refused: {
    exit: 'unauthorised',
    title: 'the signer may not sign a bump off',
    cause:
      'The key is neither a release-manager of the trust anchor nor the public key that was given.',
    fix: 'Use a key of that role, or have it added with rel trust add KEY --role release-manager.',
  },
  push_refused: {
    exit: 'unauthorised',
    title: 'the remote refused the branch',
    cause: 'A hook of the server or missing rights. The commit is kept.',
    fix: 'Correct the rights or the branch name, then rel bump resume ITEM.',
  },
  branch_protected: {
    exit: 'unauthorised',
    title: 'the branch of the bump is protected on the remote',
    cause:
      'A rule of the forge does not let this account push to it. A bump never pushes to the base branch, so the rule covers the branch that change.branch of the playbook names. The commit is kept.',
    fix: 'Take that branch out of the rule or let the account through, then rel bump resume ITEM; or rel bump abort ITEM, and change change.branch of the playbook.',
  },
  push_failed: {
    exit: 'temporary',
    title: 'the branch could not be pushed',
    cause: 'The remote could not be reached. The commit is kept.',
    fix: 'rel bump resume ITEM tries again.',
  },
  no_previous_version: {
    exit: 'usage',
    title: 'there is nothing to roll back to',
    cause: 'No commit of the branch bumped this item, so no earlier version is known.',
    fix: 'Give the version: rel bump ITEM NEW=VERSION --rollback.',
  },
  pin_drift: {
    exit: 'verification',
    title: 'a pin is no longer what was verified',
    cause: 'The tag moved, an asset was replaced, or the file has another version than the lock.',
    fix: 'Find out who changed it before anything is built from it.',
  },
  vendored_differs: {
    exit: 'verification',
    title: 'a vendored file is not the one that was locked',
    cause:
      'The playbook’s commands left other bytes for the pinned version than rel.lock.json has: the build is not repeatable, a command fetched something else, or the lock was edited. The file is left for you to look at.',
    fix: 'Find out which of them changed before the file is used; rel bump audit ITEM asks upstream.',
  },
  pin_not_locked: {
    exit: 'gate',
    title: 'nobody has verified the pin yet',
    cause: 'rel.lock.json has no entry of the item, so there is nothing to compare upstream with.',
    fix: 'rel bump ITEM --lock verifies the pinned version and locks it; rel bump ITEM NEW=VERSION does so with the next.',
  },
  not_recorded: {
    exit: 'local',
    title: 'the recording has no answer for a request',
    cause:
      'A replay answers only what was asked when it was recorded; this run asks for something else.',
    fix: 'Record it again, with the same version of rel and the same playbook.',
  },
  recording_invalid: {
    exit: 'usage',
    title: 'a recording cannot be read',
    cause: 'The file is damaged, or made by another version of rel.',
    fix: 'Record it again with --record FILE.',
  },
  asset_changed: {
    exit: 'verification',
    title: 'a verified file is another one now',
    cause:
      'A file in the cache was removed or changed after it was verified and before it was vendored, for example while a bump was interrupted. Nothing was vendored from it.',
    fix: 'Run rel bump abort ITEM where a bump was interrupted, then bump it again: the file is fetched and verified anew.',
  },
  bump_replayed: {
    exit: 'verification',
    title: 'the pin was moved by a replay',
    cause:
      'The last bump of the item in this history has the trailer Rel-Replay: it was made from a recording, so nothing was asked of upstream and no gate was run for it. A recording can have been edited.',
    fix: 'Take the commit back and bump the item again without --replay.',
  },
  forge_token_missing: {
    exit: 'usage',
    title: 'there is no token for the forge',
    cause:
      'A pull request is opened in somebody’s name. Tokens come from the environment alone and go only to the address that the environment names.',
    fix: 'Set the variables in the hint and run it again; or bump with --no-push.',
  },
  forge_unauthorised: {
    exit: 'unauthorised',
    title: 'the forge does not let the token do it',
    cause: 'The token is expired, or may not write pull requests or start workflows there.',
    fix: 'Give the token those rights and run it again; what was pushed already goes on with rel bump resume ITEM.',
  },
  forge_not_found: {
    exit: 'unauthorised',
    title: 'the forge does not show the repository',
    cause:
      'change.forge.repository is another one, or the token may not read it: forges answer both alike.',
    fix: 'Check the name and the token and run it again; what was pushed already goes on with rel bump resume ITEM.',
  },
  forge_answer_invalid: {
    exit: 'verification',
    title: 'the forge answers what it should not',
    cause:
      'The answer is JSON, but not what GitHub and Gitea send: a proxy stands between, change.forge.api_url is no API, or the forge has another version of it.',
    fix: 'Open change.forge.api_url in a browser, correct it, and run it again; what was pushed already goes on with rel bump resume ITEM.',
  },
  forge_repository_mismatch: {
    exit: 'unauthorised',
    title: 'the remote is another repository than the forge’s',
    cause:
      'change.forge.repository names one repository, the address of change.remote another: the token would be used on a repository that nothing is pushed to.',
    fix: 'Correct change.forge.repository, or git remote set-url; look at who changed the playbook.',
  },
  pull_request_refused: {
    exit: 'conflict',
    title: 'the forge refused the pull request',
    cause:
      'The base branch is not there, the branch has no commits beyond it, or a rule of the repository forbids it. The branch is pushed.',
    fix: 'Check change.base and the rules of the repository, then rel bump resume ITEM.',
  },
  workflow_missing: {
    exit: 'usage',
    title: 'the workflow to start is not there',
    cause:
      'change.dispatch.workflow names no workflow of the repository that can be started by hand on its default branch, or the token may not see it.',
    fix: 'Correct the name; the workflow needs on: workflow_dispatch on the default branch.',
  },
} as const satisfies CodeTable
