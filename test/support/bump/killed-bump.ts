import {startBump} from '../../../src/bump/run-bump.ts'
import {repositoryAt} from './repository.ts'
import {request, sampleIn} from './sample.ts'

// A bump in a process of its own that kills itself: ROOT begin|end STEP [VERSION], or never.
const [root = '', phase, step, version = 'v3.3.5'] = process.argv.slice(2)
const {context} = await sampleIn(repositoryAt(root), {
  onStep: (at, name) => {
    if (at === phase && name === step) process.kill(process.pid, 'SIGKILL')
  },
})
await startBump(request(version, {critical: true, rollback: version === 'v3.3.3'}), context)
