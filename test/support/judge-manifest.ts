import {readFileSync} from 'node:fs'
import {verifyManifestBytes} from '../../src/bundle/verify-manifest.ts'
import {RelError} from '../../src/system/error.ts'
import {policyOf, testSigner} from './bundles.ts'

// Verifies the manifest FILE in a process of its own, whose memory the caller has bounded, and
// prints the code of the refusal.
try {
  const bytes = readFileSync(process.argv[2] ?? '')
  await verifyManifestBytes(bytes, policyOf([testSigner(1).publicKey]))
  process.stdout.write('accepted')
} catch (error) {
  if (!(error instanceof RelError)) throw error
  process.stdout.write(error.code)
}
