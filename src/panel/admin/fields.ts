import {type TProperties, Type} from 'typebox'
import {digestPattern} from '../../system/digest.ts'

/** An object of exactly these fields. */
export function exact<T extends TProperties>(properties: T) {
  return Type.Object(properties, {additionalProperties: false})
}

/** Forms that several routes share. */
export const productName = Type.String({pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'})
export const versionText = Type.String({pattern: '^[0-9A-Za-z.+-]{1,256}$'})
export const digestText = Type.String({pattern: digestPattern.source})
export const ulidText = Type.String({pattern: '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'})
/** What people wrote: no control characters, no other line ends, nothing that reorders text. */
export const prose = Type.String({
  maxLength: 1000,
  pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069]*$',
})
export const time = Type.Integer({minimum: 0, description: 'Seconds since the epoch'})
export const slot = exact({component: productName, os: productName, arch: productName})

export const productParams = exact({product: productName})
export const releaseParams = exact({product: productName, version: versionText})

/** A headers schema names what is read; other headers pass. */
export function headers<T extends TProperties>(properties: T) {
  return Type.Object(properties)
}
