import {readFileSync} from 'node:fs'
import {recordingFs} from '../../../src/device/durable-fs.ts'
import {deltaPlace} from '../../../src/device/place-delta.ts'
import {stage} from '../../../src/device/stage.ts'
import {deviceAt, plain} from './node.ts'

// A process that stages a delta and kills itself before its n-th operation; then tells how many
// operations there were, and the most memory it had, in bytes.

const [root = '', delta = '', count = '0'] = process.argv.slice(2)
const real = deviceAt(root)
let done = 0
const fs = recordingFs(real.world.fs, () => {
  done += 1
  if (done === Number(count)) process.kill(process.pid, 'SIGKILL')
})
await stage({...real, world: {...real.world, fs}}, deltaPlace(delta), plain)
// getrusage would tell the memory of the parent as well: Linux keeps its mark over exec
const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
process.stdout.write(`${done} ${Number(peak) * 1024}\n`)
