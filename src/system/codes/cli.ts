import type {CodeTable} from './code.ts'

/** Codes of the command line itself: usage, configuration, the local machine. */
export const cliCodes = {
  internal_error: {
    exit: 'bug',
    title: 'rel hit a bug of its own',
    cause:
      'An expectation inside rel was broken. Nothing was half-written: every write is renamed into place.',
    fix: 'Run the command again with REL_DEBUG=1 and report the trace.',
  },
  usage_invalid: {
    exit: 'usage',
    title: 'the command line could not be understood',
    cause: 'A flag, an argument or a value is unknown, missing or malformed.',
    fix: 'Run the same command with --help.',
  },
  command_unknown: {
    exit: 'usage',
    title: 'there is no such command',
    cause: 'The words given name no command of rel.',
    fix: 'Run rel --help for the list of commands.',
  },
  code_unknown: {
    exit: 'usage',
    title: 'there is no such error code',
    cause: 'The word given to rel explain is none of its codes, which are permanent.',
    fix: 'Run rel explain for the list of codes.',
  },
  config_invalid: {
    exit: 'usage',
    title: 'the configuration file is not valid',
    cause:
      'A key is unknown, repeated or of the wrong type, or a project asks for something only a person may choose. Nothing in it is used, so that a slip never changes what is signed.',
    fix: 'Correct the line named in the message; rel config schema prints what is allowed.',
  },
  undo_refused: {
    exit: 'conflict',
    title: 'it cannot be undone from here',
    cause: 'What was made has been changed since, or there is no record of making it.',
    fix: 'Look at the file named in the message and change it yourself.',
  },
  doctor_failed: {
    exit: 'local',
    title: 'this machine is not ready',
    cause: 'At least one check of rel doctor failed.',
    fix: 'Follow the arrows in the report; rel doctor --fix does what is safe to do.',
  },
  node_unsupported: {
    exit: 'local',
    title: 'this Node.js is too old',
    cause: 'rel needs Node.js ^22.22.2, ^24.15.0 or >= 26 and found none.',
    fix: 'Install a newer Node.js, or name one in REL_NODE.',
  },
  package_incomplete: {
    exit: 'local',
    title: 'rel itself is not complete',
    cause: 'A file of the installed package is missing: the installation stopped halfway.',
    fix: 'Install rel again.',
  },
  input_required: {
    exit: 'usage',
    title: 'an answer is needed and nobody can be asked',
    cause:
      'The command needs a value that was not given, and there is no terminal to ask at (or --no-input was given).',
    fix: 'Give the flag named in the message.',
  },
  interrupted: {
    exit: 'interrupted',
    title: 'the command was interrupted',
    cause: 'A signal arrived. Files in the making were removed; finished ones were kept.',
    fix: 'Run the same command again.',
  },
  file_missing: {
    exit: 'usage',
    title: 'a file or directory does not exist',
    cause: 'The path given on the command line names nothing.',
    fix: 'Check the path.',
  },
  file_unreadable: {
    exit: 'local',
    title: 'a file cannot be read',
    cause: 'The operating system refused to open or read it.',
    fix: 'Check owner and permissions of the file named in the message.',
  },
  file_too_large: {
    exit: 'usage',
    title: 'a file is larger than its limit',
    cause: 'Every file that rel parses has a named size limit, checked before it is read.',
    fix: 'Check that the right file was given.',
  },
  file_exists: {
    exit: 'conflict',
    title: 'the output exists already',
    cause: 'rel does not overwrite what it did not make.',
    fix: 'Remove the file or choose another name.',
  },
  write_failed: {
    exit: 'local',
    title: 'a file could not be written',
    cause: 'The operating system refused the write. What stood there before is intact.',
    fix: 'Check permissions of the folder named in the message.',
  },
  disk_full: {
    exit: 'local',
    title: 'the disk is full',
    cause: 'There was no space left while writing. What stood there before is intact.',
    fix: 'Free some space and run the command again.',
  },
  tool_missing: {
    exit: 'local',
    title: 'a program that is needed is not installed',
    cause: 'The step calls an external program that was not found on PATH.',
    fix: 'Install the package named in the message.',
  },
  process_failed: {
    exit: 'local',
    title: 'an external program failed',
    cause: 'A program that rel calls ended with an error or ran out of its time.',
    fix: 'Read the program’s own message.',
  },
} as const satisfies CodeTable
