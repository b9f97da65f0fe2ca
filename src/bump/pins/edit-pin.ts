import {RelError} from '../../system/error.ts'
import type {PinSpec} from '../playbook-pins.ts'
import {decodePinFile, type FoundPin, findPin} from './find-pin.ts'
import {pinValue} from './pin-match.ts'
import {unifiedDiff} from './unified-diff.ts'
import {isPlainText} from './yaml-scalar.ts'

/** A file with its pin moved, proved: nothing but the pin's bytes differs, and it reads as asked. */
export type EditedPin = {
  readonly bytes: Uint8Array
  readonly before: FoundPin
  readonly after: FoundPin
  /** Unified diff of the file. */
  readonly diff: string
}

/**
 * Writes a value into the one place of a pin and proves it by reading the file again. Refuses as
 * findPin does, with pin_value_refused for a value that is no plain version or that YAML would not
 * take for text, and with pin_edit_unproved should the proof fail.
 */
export function editPin(bytes: Uint8Array, spec: PinSpec, value: string): EditedPin {
  const before = findPin(bytes, spec)
  checkValue(bytes, spec, before, value)
  const {start, end} = before.range
  const edited = joined([
    bytes.subarray(0, start),
    new TextEncoder().encode(value),
    bytes.subarray(end),
  ])
  const after = findPin(edited, spec)
  prove({bytes, edited, before, after, value, file: spec.file})
  const diff = unifiedDiff(
    spec.file,
    decodePinFile(bytes, spec.file),
    decodePinFile(edited, spec.file),
  )
  return {bytes: edited, before, after, diff}
}

function checkValue(bytes: Uint8Array, spec: PinSpec, {range}: FoundPin, value: string): void {
  if (!pinValue.test(value))
    throw new RelError(
      'pin_value_refused',
      `${JSON.stringify(value.slice(0, 80))} is no version: letters, digits and . + _ ~ : / - are`,
    )
  if (spec.kind !== 'yaml_path') return
  const isQuoted = [0x22, 0x27].includes(bytes[range.start - 1] ?? 0)
  if (!isQuoted && !isPlainText(value))
    throw new RelError(
      'pin_value_refused',
      `${spec.file}: YAML would not read ${value} as text without quotes`,
      {hint: `Put the value of ${spec.path} in ${spec.file} in quotes first.`},
    )
}

type Proof = {
  readonly bytes: Uint8Array
  readonly edited: Uint8Array
  readonly before: FoundPin
  readonly after: FoundPin
  readonly value: string
  readonly file: string
}

/** Independent of how the new file was made: what surrounds the pin is compared byte by byte. */
function prove({bytes, edited, before, after, value, file}: Proof): void {
  const tail = bytes.length - before.range.end
  const isProved =
    after.value === value &&
    after.range.start === before.range.start &&
    edited.length - after.range.end === tail &&
    isSame(bytes.subarray(0, before.range.start), edited.subarray(0, after.range.start)) &&
    isSame(bytes.subarray(before.range.end), edited.subarray(after.range.end))
  if (!isProved)
    throw new RelError('pin_edit_unproved', `${file} does not read as ${value} once it is edited`)
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, {length}) => sum + length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}
