import {apply, rollback} from '../../../src/device/apply.ts'
import {recordingFs} from '../../../src/device/durable-fs.ts'
import {stage} from '../../../src/device/stage.ts'
import {deviceAt, plain} from './node.ts'

// A process that updates a node and kills itself before or after its n-th operation.

const [root = '', source = '', what = '', count = '0', when = 'before'] = process.argv.slice(2)
const at = Number(count)
const real = deviceAt(root)
let done = 0
const die = () => process.kill(process.pid, 'SIGKILL')
const before = recordingFs(real.world.fs, () => {
  done += 1
  if (when === 'before' && done === at) die()
})
const fs = {
  root,
  run: (op: Parameters<typeof before.run>[0]) => {
    before.run(op)
    if (when === 'after' && done === at) die()
  },
}
const device = {...real, world: {...real.world, fs}}
if (what === 'rollback') await rollback(device)
else {
  await stage(device, source, plain)
  await apply(device, plain)
}
process.stdout.write(`${done}\n`)
