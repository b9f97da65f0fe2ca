import {archiveCodes} from './codes/archive.ts'
import {bumpCodes} from './codes/bump.ts'
import {bundleCodes} from './codes/bundle.ts'
import {cliCodes} from './codes/cli.ts'
import {type CodeInfo, exitCodes} from './codes/code.ts'
import {deviceCodes} from './codes/device.ts'
import {gatesCodes} from './codes/gates.ts'
import {jsonCodes} from './codes/json.ts'
import {keysCodes} from './codes/keys.ts'
import {panelCodes} from './codes/panel.ts'
import {proofsCodes} from './codes/proofs.ts'
import {publishCodes} from './codes/publish.ts'
import {releaseCodes} from './codes/release.ts'
import {sigstoreCodes} from './codes/sigstore.ts'
import {storeCodes} from './codes/store.ts'
import {trustCodes} from './codes/trust.ts'
import {upstreamCodes} from './codes/upstream.ts'

/** Every code of rel by area: one page of docs/error-codes.md each. Codes are permanent. */
export const codeAreas = {
  cli: cliCodes,
  keys: keysCodes,
  json: jsonCodes,
  trust: trustCodes,
  bundle: bundleCodes,
  archive: archiveCodes,
  sigstore: sigstoreCodes,
  upstream: upstreamCodes,
  gates: gatesCodes,
  bump: {...bumpCodes, ...proofsCodes},
  release: releaseCodes,
  publish: publishCodes,
  panel: panelCodes,
  store: storeCodes,
  device: deviceCodes,
} as const

export const codes = {
  ...cliCodes,
  ...keysCodes,
  ...jsonCodes,
  ...trustCodes,
  ...bundleCodes,
  ...archiveCodes,
  ...sigstoreCodes,
  ...upstreamCodes,
  ...gatesCodes,
  ...bumpCodes,
  ...proofsCodes,
  ...releaseCodes,
  ...publishCodes,
  ...panelCodes,
  ...storeCodes,
  ...deviceCodes,
} as const

/** The closed union of everything that can go wrong; the same in CLI, JSON, panel, device and docs. */
export type ErrorCode = keyof typeof codes

/** What is known of a code; total over ErrorCode. */
export function codeInfo(code: ErrorCode): CodeInfo {
  return codes[code]
}

/** True for text that is one of rel's codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(codes, text)
}

/** The process exit code that belongs to an error code (docs/error-codes.md). */
export function exitCodeOf(code: ErrorCode): number {
  return exitCodes[codeInfo(code).exit]
}
