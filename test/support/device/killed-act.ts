import {acts, type Given, watched} from './kill-acts.ts'

// A process that does one act on a node and kills itself before or after its n-th operation; then
// tells how many operations there were.

const [name = '', folder = '', given = '{}', count = '0', when = 'before'] = process.argv.slice(2)
const act = acts[name]
if (act === undefined) throw new Error(`what is ${name}?`)
let done = 0
const device = watched(act.device(folder), (now) => {
  if (now === 'before') done += 1
  if (now === when && done === Number(count)) process.kill(process.pid, 'SIGKILL')
})
await act.act(device, JSON.parse(given) as Given)
process.stdout.write(`${done}\n`)
