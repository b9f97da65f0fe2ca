import {RelError} from '../../system/error.ts'

/** Fields of one stanza by lower-case name; lines of a folded value are separated by \n. */
export type Stanza = ReadonlyMap<string, string>

/** No stanza of an archive has half of it: sid's longest is a Provides of 90 KiB. */
export const MAX_STANZA_BYTES = 1024 * 1024

const MAX_FIELDS = 200

/**
 * One stanza of deb822 (deb822(5)) without comments, as archives write it. Refuses with
 * deb822_malformed: a field twice, whatever the case, since readers disagree on which one counts; a
 * line that is neither field nor continuation; an empty line; a control character.
 */
export function parseStanza(text: string, what: string): Stanza {
  if (/[^\P{Cc}\t\n]/u.test(text)) throw malformed(`${what} has a control character`)
  const fields = new Map<string, string>()
  let last: string | undefined
  for (const [at, line] of text.replace(/\n$/, '').split('\n').entries()) {
    const where = `line ${at + 1} of ${what}`
    if (/^[ \t]+[^ \t]/.test(line)) last = continued(fields, last, line, where)
    else last = begun(fields, line, where)
    if (fields.size > MAX_FIELDS) throw malformed(`${what} has more than ${MAX_FIELDS} fields`)
  }
  return fields
}

function continued(
  fields: Map<string, string>,
  last: string | undefined,
  line: string,
  where: string,
): string {
  if (last === undefined) throw malformed(`${where} continues no field`)
  fields.set(last, `${fields.get(last)}\n${line.trim()}`)
  return last
}

function begun(fields: Map<string, string>, line: string, where: string): string {
  const [, name, value = ''] = /^([!"$-,.-9;-~][!-9;-~]*):[ \t]*(.*)$/.exec(line) ?? []
  if (name === undefined) throw malformed(`${where} is no field`)
  const key = name.toLowerCase()
  if (fields.has(key)) throw malformed(`${where} has the field ${name} a second time`)
  fields.set(key, value.trimEnd())
  return key
}

/** The value of a field that must be there, be one line and not be empty. */
export function fieldOf(stanza: Stanza, name: string, what: string): string {
  const value = stanza.get(name.toLowerCase())
  if (value === undefined || value === '' || value.includes('\n'))
    throw malformed(`${what} has no field ${name} of one line`)
  return value
}

export function malformed(message: string): RelError {
  return new RelError('deb822_malformed', message)
}
