import {readFileSync} from 'node:fs'
import {readPackages} from '../../../src/upstream/apt/packages-index.ts'
import type {PackagesIndex} from '../../../src/upstream/apt/release-file.ts'

/** Verifies Packages.gz against what index.json says was signed, and finds the kernels in it. */
const index = JSON.parse(readFileSync('index.json', 'utf8')) as PackagesIndex
const found = await readPackages('Packages.gz', index, (name) => name.startsWith('linux-image-'))
if (found.length === 0) throw new Error('the index names no kernel')
