// Starts rel inside a single executable: what bin/run.cjs does, with the files that
// scripts/build-sea.ts put into it.
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const sea = require('node:sea')
const {asksVersion, printVersion, privateCache, runProgram} = require('./run.cjs')

const root = path.dirname(process.execPath)
const dist = path.join(root, 'dist') // a name for traces: there is no such folder
const known = new Set(sea.getAssetKeys())
const loaded = new Map()

function textOf(name) {
  if (known.has(name)) return Buffer.from(sea.getRawAsset(name)).latin1Slice()
}

/** One of rel's own files, by its name below dist. */
function requireFile(name) {
  if (loaded.has(name)) return loaded.get(name)
  const text = textOf(name)
  if (text === undefined) throw notInside(name)
  if (name.endsWith('.json')) return JSON.parse(Buffer.from(text, 'latin1').toString())
  const module = {exports: {}}
  const {compileFunction} = require('node:vm')
  const parameters = ['exports', 'require', 'module', '__filename', '__dirname']
  const filename = path.join(dist, name)
  const run = compileFunction(text, parameters, {filename})
  run(module.exports, requireFrom(filename), module, filename, dist)
  loaded.set(name, module.exports)
  return module.exports
}

function requireFrom(program) {
  return (specifier) => {
    if (specifier === 'node:worker_threads') return threads()
    if (specifier.startsWith('node:')) return require(specifier)
    if (specifier.startsWith('.'))
      return requireFile(path.relative(dist, path.join(path.dirname(program), specifier)))
    const builtin = process.getBuiltinModule(specifier)
    if (builtin !== undefined) return builtin
    const load = requireFile('packages.cjs').packages[specifier]
    if (load === undefined) throw notInside(specifier)
    return load()
  }
}

function notInside(name) {
  const error = new Error(`${name} is not in this executable`)
  error.code = 'MODULE_NOT_FOUND'
  return error
}

/** What import() resolves to: the names of a CommonJS module, and the module as its default. */
async function importModule(specifier) {
  const found = requireFrom(path.join(dist, 'rel.cjs'))(specifier)
  return found.__esModule ? found : {...found, default: found}
}

/** The workers of rel are files inside as well. */
function threads() {
  const found = require('node:worker_threads')
  const Worker = class extends found.Worker {
    constructor(url, options) {
      super(textOf(path.basename(url.pathname)), {...options, eval: true})
    }
  }
  return {...found, Worker}
}

process.argv[1] = process.execPath
if (asksVersion(process.argv.slice(2))) printVersion(textOf('package.json'))
else
  runProgram(
    {
      folder: privateCache(),
      label: '-sea',
      completes: false,
      read: (program) => textOf(path.relative(dist, program)),
      changedMs: () => fs.statSync(process.execPath).mtimeMs,
      requireFrom,
      importModule,
    },
    path.join(dist, 'rel.cjs'),
  )
