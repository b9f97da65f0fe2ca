import {writeFileSync} from 'node:fs'
import {setTimeout} from 'node:timers/promises'
import {publication} from './publication.ts'

/** What `killed-publisher.ts JSON` is told; without a step or a request it lives to the end. */
export type KilledPublisher = {
  readonly manifest: string
  readonly panel: {readonly url: string; readonly adminToken: string}
  readonly github?: {readonly url: string}
  /** What a wait takes; nothing when not given. */
  readonly waitMs?: number
  readonly journal: string
  readonly receipt: string
  /** Dies at the beginning of this step… */
  readonly step?: string
  /** …or when the answer to the request of this number is there, but nobody has read it. */
  readonly request?: number
}

const told = JSON.parse(process.argv[2] ?? '') as KilledPublisher
const die = () => process.kill(process.pid, 'SIGKILL')
let requests = 0

const {run} = await publication(told, told, {
  journal: told.journal,
  wait: () => setTimeout(told.waitMs ?? 0),
  keepReceipt: (text) => writeFileSync(told.receipt, text),
  onStep: (phase, step) => {
    if (phase === 'begin' && step === told.step) die()
  },
  through: (http) => ({
    download: (request) => http.download(request),
    send: async (request) => {
      const answer = await http.send(request)
      if (++requests === told.request) die()
      return answer
    },
  }),
})
await run()
