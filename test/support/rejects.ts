import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../src/system/codes.ts'
import {RelError} from '../../src/system/error.ts'

/** That a call refuses with a code; returns the refusal for further checks, any other outcome fails. */
export function throwsCode(call: () => unknown, code: ErrorCode): RelError {
  try {
    call()
  } catch (error) {
    return checkCode(error, code)
  }
  return failNothingThrown(code)
}

/** throwsCode for a promise. */
export async function rejectsCode(
  call: () => Promise<unknown>,
  code: ErrorCode,
): Promise<RelError> {
  try {
    await call()
  } catch (error) {
    return checkCode(error, code)
  }
  return failNothingThrown(code)
}

function checkCode(thrown: unknown, code: ErrorCode): RelError {
  if (!(thrown instanceof RelError)) throw thrown ?? new Error(`threw ${thrown}, want ${code}`)
  assert.is(thrown.code, code, `${thrown.code}: ${thrown.message}, want ${code}`)
  return thrown
}

function failNothingThrown(code: ErrorCode): never {
  throw new assert.Assertion({
    message: `nothing was refused, want ${code}`,
    details: '',
    generated: false,
    operator: 'throwsCode',
    expects: code,
    actual: 'no error',
  })
}
