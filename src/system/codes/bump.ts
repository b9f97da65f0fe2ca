import type {CodeTable} from './code.ts'

export const bumpCodes = {
  playbook_invalid: {
    exit: 'usage',
    title: 'a playbook does not say what a playbook must',
    cause:
      'An unknown or repeated key, a value of the wrong kind, or a playbook without verify.min. A playbook decides what is trusted, so nothing in it is guessed.',
    fix: 'Correct the line that is named; the editor completes keys with playbooks/playbook.schema.json.',
  },
} as const satisfies CodeTable
