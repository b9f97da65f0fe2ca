import {dirname} from 'node:path'
import {fileURLToPath} from 'node:url'
import {execute, settings} from '@oclif/core'

// TypeScript 7 has no API for oclif's transpiler, which would fall back to a stale dist
settings.enableAutoTranspile = false
const root = dirname(dirname(fileURLToPath(import.meta.url)))
await execute({dir: root, development: true})
