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
    cause: 'The file is no UTF-8 text, or no YAML where the pin is a path in YAML.',
    fix: 'Repair the file, or name another one in the playbook.',
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
} as const satisfies CodeTable
