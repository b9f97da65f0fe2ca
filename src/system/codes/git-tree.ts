import type {CodeTable} from './code.ts'

const doNotUse = 'Do not use it. Compare with the project’s own repository and ask its maintainers.'

/** Codes of files at a tag of a git repository (docs/formats/upstream-git-tree.md). */
export const gitTreeCodes = {
  tree_truncated: {
    exit: 'verification',
    title: 'the list of a folder of the repository is cut off',
    cause:
      'The interface stops at some number of entries; a list with a part missing proves nothing.',
    fix: 'Name a smaller folder in the playbook, or ask upstream to divide it.',
  },
  tree_mismatch: {
    exit: 'verification',
    title: 'the list of a folder is not the one that its id stands for',
    cause:
      'Names, modes and ids of the entries hash to another git tree id: an entry was changed on the way.',
    fix: doNotUse,
  },
  tree_path_unsafe: {
    exit: 'verification',
    title: 'a folder of the repository lists what is no plain file or folder',
    cause:
      'A name with a slash, .., .git or a control character, a name that is there twice, or a link or submodule where a file is wanted.',
    fix: doNotUse,
  },
  git_blob_mismatch: {
    exit: 'verification',
    title: 'a file is not the one that its git blob id stands for',
    cause: 'The bytes were damaged or exchanged on the server or on the way.',
    fix: doNotUse,
  },
  firmware_pair_incomplete: {
    exit: 'verification',
    title: 'start and fixup files of the firmware are not of one build',
    cause:
      'A start*.elf without its fixup*.dat or the other way round, a pair of which only one half changed, or programs of different builds.',
    fix: 'Name both files in the playbook; if upstream has only one, take another tag.',
  },
  firmware_build_id_missing: {
    exit: 'verification',
    title: 'the firmware does not say which build it is',
    cause: 'The file has no VC_BUILD_ID entries of the known form, or has one of them twice.',
    fix: 'Check that the path names a start*.elf; do not use a firmware without a build id.',
  },
  firmware_build_unclean: {
    exit: 'verification',
    title: 'the firmware was built from uncommitted sources',
    cause: 'Its build id does not say (clean): nobody can tell what it was made of.',
    fix: 'Take another tag, and ask upstream about this one.',
  },
  firmware_build_unchanged: {
    exit: 'verification',
    title: 'the firmware is the same build under another tag',
    cause: 'The tag may be on the wrong commit: the build id is that of the version before.',
    fix: 'Compare the commit of the tag with the history of the repository; take another tag.',
  },
  firmware_build_older: {
    exit: 'verification',
    title: 'the firmware is older than the tag says',
    cause:
      'By its build id a newer version was built before the older one: the tag may be on the wrong commit.',
    fix: 'Compare the commit of the tag with the history of the repository; take another tag.',
  },
  firmware_branch_unexpected: {
    exit: 'verification',
    title: 'the firmware is of another branch',
    cause: 'The branch in its build id is not that of the playbook, so it may be for another chip.',
    fix: 'Check the paths, and upstream.firmware.branch of the playbook.',
  },
} as const satisfies CodeTable
