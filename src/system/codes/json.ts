import type {CodeTable} from './code.ts'

const damaged = 'Ask for the file again from whoever made it; do not repair a signed file by hand.'

/** Codes of the strict JSON reader (docs/formats/canonical-json.md): one cause, one code. */
export const jsonCodes = {
  json_too_large: {
    exit: 'verification',
    title: 'the JSON is larger than its limit',
    cause: 'Every document has a named size limit, checked before a byte of it is read.',
    fix: 'Check that the right file was given.',
  },
  json_too_many_values: {
    exit: 'verification',
    title: 'the JSON has more values than its limit',
    cause:
      'A small text can hold millions of empty objects, which take far more memory than the text.',
    fix: 'Check that the right file was given.',
  },
  json_bom: {
    exit: 'verification',
    title: 'the JSON begins with a byte order mark',
    cause: 'Some readers skip the mark and others fail on it, so two of them would disagree.',
    fix: 'Save the file as UTF-8 without BOM before it is signed.',
  },
  json_utf8: {
    exit: 'verification',
    title: 'the JSON is not valid UTF-8',
    cause: 'A byte sequence is truncated, overlong or encodes a surrogate.',
    fix: damaged,
  },
  json_syntax: {
    exit: 'verification',
    title: 'the JSON is malformed',
    cause: 'The text does not follow RFC 8259, or it ends too early.',
    fix: damaged,
  },
  json_trailing: {
    exit: 'verification',
    title: 'something follows the JSON document',
    cause:
      'Only white space may follow the one value: a second document could hide from one reader.',
    fix: damaged,
  },
  json_duplicate_key: {
    exit: 'verification',
    title: 'an object has the same key twice',
    cause: 'Readers disagree on which of the two counts, so a signature could cover the other one.',
    fix: damaged,
  },
  json_forbidden_key: {
    exit: 'verification',
    title: 'an object has the key __proto__',
    cause: 'In JavaScript that key can change what other objects are (prototype pollution).',
    fix: damaged,
  },
  json_surrogate: {
    exit: 'verification',
    title: 'a string holds half of a surrogate pair',
    cause: 'It stands for no character, and writers replace or drop it as they like.',
    fix: damaged,
  },
  json_nul: {
    exit: 'verification',
    title: 'a string holds the character NUL',
    cause: 'Programs that end strings at NUL would read another value than the one signed.',
    fix: damaged,
  },
  json_number: {
    exit: 'verification',
    title: 'a number is not a whole number from 0 to 2^53-1',
    cause:
      'Signs, fractions, exponents and large numbers are read differently by different readers.',
    fix: damaged,
  },
  json_null: {
    exit: 'verification',
    title: 'a value is null',
    cause: 'Signed documents leave a field out when it has no value; null is read as many things.',
    fix: damaged,
  },
  json_depth: {
    exit: 'verification',
    title: 'the JSON is nested too deeply',
    cause: 'The depth of every document is limited, so that no input exhausts the stack.',
    fix: 'Check that the right file was given.',
  },
} as const satisfies CodeTable
