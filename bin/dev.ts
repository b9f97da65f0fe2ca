import {dirname} from 'node:path'
import {fileURLToPath} from 'node:url'
import {main} from '../src/cli/main.ts'
import {sourceTree} from '../src/cli/source-tree.ts'

main(process.argv.slice(2), sourceTree(dirname(dirname(fileURLToPath(import.meta.url)))))
