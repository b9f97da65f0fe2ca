import {randomBytes, sign} from 'node:crypto'
import {keyPairOf, verifyEd25519} from '../../src/trust/ed25519.ts'

/** Prints how many signatures of 64 bytes are verified in one second of CPU time. */
const SECS = 2
const {privateKey, publicKey} = keyPairOf(randomBytes(32))
const message = randomBytes(64)
const signature = sign(null, message, privateKey)

let count = 0
const started = process.cpuUsage()
let used = 0
while (used < SECS * 1e6) {
  for (let batch = 0; batch < 500; batch++) {
    if (!verifyEd25519(publicKey, message, signature)) throw new Error('a good signature failed')
  }
  count += 500
  const {user, system} = process.cpuUsage(started)
  used = user + system
}
process.stdout.write(`${Math.round((count * 1e6) / used)}\n`)
