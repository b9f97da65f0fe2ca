// Starts rel: the built program of a package, or the sources of a checkout. Its syntax is that of Node.js 14,
// so that a version that is too old can still say so.
'use strict'
const fs = require('node:fs')
const path = require('node:path')

const root = path.dirname(__dirname)
const minimum = {22: [22, 2], 24: [15, 0]} // engines in package.json; any version from 26 on

function isSupported(version) {
  const parts = version.split('.').map(Number)
  if (parts[0] >= 26) return true
  const least = minimum[parts[0]]
  if (least === undefined) return false
  return parts[1] > least[0] || (parts[1] === least[0] && parts[2] >= least[1])
}

/** A refusal before there is a program that could print it. */
function refuse(code, message, hint) {
  if (process.argv.indexOf('--json') === -1) {
    console.error(`✖ ${code}: ${message}\n  Fix: ${hint}`)
  } else {
    const error = {code: code, message: message, hint: hint}
    error.docs = `docs/error-codes.md#${code}`
    error.exit = 28
    error.details = {}
    const document = {schema_version: 1, ok: false, command: null, error: error, warnings: []}
    console.log(JSON.stringify(document, null, 2))
  }
  process.exitCode = 28
}

function refuseOldNode() {
  const message = `Node.js ${process.versions.node} at ${process.execPath} is too old`
  const hint = 'install Node.js ^22.22.2, ^24.15.0 or >= 26, or set REL_NODE to its path'
  refuse('node_unsupported', message, hint)
}

function refuseBrokenPackage(program) {
  refuse('package_incomplete', `${program} is missing`, 'install rel again')
}

/**
 * Nobody but us (or root) may be able to write in a folder whose bytecode we run, nor in one above
 * it: who can rename a parent can put another folder in its place. A sticky folder such as /tmp
 * does not let others rename what is ours.
 */
function isPrivate(folder) {
  const me = process.geteuid()
  for (let at = folder; ; at = path.dirname(at)) {
    const stat = fs.lstatSync(at)
    const owned = stat.uid === me || (stat.uid === 0 && at !== folder)
    const open = (stat.mode & 0o022) !== 0 && (stat.mode & 0o1000) === 0
    if (!owned || open || !stat.isDirectory()) return false
    if (at === path.dirname(at)) return true
  }
}

/** Node's default cache is a folder in /tmp that anybody may have made first (docs/decisions/start-up.md). */
function privateCache() {
  if (process.env.NODE_COMPILE_CACHE || process.env.NODE_DISABLE_COMPILE_CACHE) return
  const home = process.env.HOME || ''
  const base = process.env.XDG_CACHE_HOME || (home && path.join(home, '.cache'))
  if (!base || !path.isAbsolute(base)) return
  const folder = path.join(base, 'rel', 'compile')
  try {
    // one by one: where nothing can be made, such as in /proc, Node's recursive mkdir never ends
    for (const wanted of [base, path.dirname(folder), folder])
      if (!fs.existsSync(wanted)) fs.mkdirSync(wanted, {mode: 0o700})
    if (isPrivate(fs.realpathSync(folder))) return folder
  } catch {
    // a cache that cannot be made costs milliseconds, not the command
  }
}

/** The first word, `help` when that is what is asked for; undefined for what can be no name. */
function wantedName(words) {
  const word = words.find((given) => given[0] !== '-')
  const asksHelp = word === undefined || words.some((given) => given === '--help' || given === '-h')
  const name = asksHelp ? 'help' : word
  return /^[a-z]{1,16}$/.test(name) ? name : undefined
}

/**
 * The cache of one command and Node.js. The second line of a topic's program lists its commands, so
 * that no other word makes a file.
 */
function cacheFile({folder, label}, name, text) {
  const [, listed = ''] = /^.*\n\/\/ (.*)\n/.exec(text.slice(0, 1000)) || []
  const words = process.argv.slice(2).filter((word) => word[0] !== '-')
  const rest = words.slice(1, 3).join(' ')
  const command = listed.split(',').find((one) => one === rest || rest.indexOf(`${one} `) === 0)
  const suffix = command ? `-${command.replace(' ', '-')}` : ''
  return path.join(folder, `${process.version}-${process.arch}${label}-${name}${suffix}`)
}

/** What a cache must have been made of, 128 bytes: V8 itself compares no more than the length. */
function sourceStamp(source, changedMs) {
  return Buffer.from(
    `${source.slice(0, 72)} ${source.length} ${changedMs}`.slice(0, 128).padEnd(128),
  )
}

/**
 * The bytecode of a cache: it stands there twice, since V8 compares no checksum and damaged bytecode
 * crashes it. Against damage, not attackers, whom isPrivate() keeps out; comparing takes a tenth of
 * a millisecond, a checksum in JavaScript or loading node:crypto for one takes several.
 */
function readCache(file, stamp) {
  try {
    const found = fs.readFileSync(file)
    const middle = 128 + (found.length - 128) / 2
    const data = found.subarray(128, middle)
    const isWhole = found.subarray(0, 128).equals(stamp) && data.equals(found.subarray(middle))
    return isWhole ? data : undefined
  } catch {
    return undefined
  }
}

function writeCache(file, pieces) {
  const temporary = `${file}.${process.pid}`
  try {
    const handle = fs.openSync(temporary, 'wx', 0o600)
    try {
      fs.writevSync(handle, pieces)
      fs.fsyncSync(handle) // V8 does not notice a file that a crash has left half empty
    } finally {
      fs.closeSync(handle)
    }
    fs.renameSync(temporary, file)
  } catch {
    fs.rmSync(temporary, {force: true})
  }
}

/**
 * The start() of a built program, undefined when its file is not there, and keep(), which has its
 * bytecode stored when the run ends with 0. Node's compile cache holds a module as it is before it
 * runs, so that every function is compiled again in every run; this one is made after the run.
 */
function loadProgram(files, program, name) {
  const text = files.read(program)
  if (text === undefined) return
  const vm = require('node:vm')
  const parameters = 'exports, require, module, __filename, __dirname, importModule'
  const source = `(function (${parameters}) {${text}\n})`
  const file = files.folder && name && cacheFile(files, name, text)
  const stamp = file && sourceStamp(text, files.changedMs(program))
  const script = new vm.Script(source, {
    filename: program,
    cachedData: file && readCache(file, stamp),
  })
  const keep = () => {
    if (!file || script.cachedDataRejected === false) return
    process.on('exit', (code) => {
      if (code !== 0) return
      const data = script.createCachedData()
      writeCache(file, [stamp, data, data])
    })
  }
  const module = {exports: {}}
  const requireThere = files.requireFrom(program)
  const run = script.runInThisContext()
  run(module.exports, requireThere, module, program, path.dirname(program), files.importModule)
  return {start: module.exports.start, keep}
}

/** The files of the package; a single executable has them inside (bin/sea.cjs). */
function packageFiles(folder) {
  return {
    folder,
    label: '',
    completes: true,
    read: (program) => {
      try {
        return fs.readFileSync(program, 'latin1') // scripts/build.ts writes nothing but ASCII
      } catch {
        return undefined
      }
    },
    changedMs: (program) => fs.statSync(program).mtimeMs,
    requireFrom: (program) => require('node:module').createRequire(program),
    importModule: (specifier) => import(specifier), // a vm.Script has none of its own
  }
}

/** Runs the command: by the program of its topic when its words are plain, else by the whole one. */
async function runProgram(files, whole) {
  const name = wantedName(process.argv.slice(2))
  const topic = name && path.join(path.dirname(whole), 'topics', `${name}.cjs`)
  const small = topic && loadProgram(files, topic, name)
  const home = path.dirname(path.dirname(whole))
  if (small && (await small.start(home))) return small.keep()
  const program = loadProgram(files, whole, small ? `${name}-whole` : name)
  program.keep()
  program.start(home, undefined, files.completes)
}

/** Newest change of a file or folder below `folder`: a removed file changes its folder. */
function newestChange(folder) {
  return fs.readdirSync(folder, {withFileTypes: true}).reduce((newest, entry) => {
    const entryPath = path.join(folder, entry.name)
    if (entry.isDirectory()) return Math.max(newest, newestChange(entryPath))
    return Math.max(newest, fs.statSync(entryPath).mtimeMs)
  }, fs.statSync(folder).mtimeMs)
}

/** A checkout runs its build only while nothing in src or package.json is newer. */
function runsBuild(program) {
  const sources = path.join(root, 'src')
  if (!fs.existsSync(sources)) return true
  if (!fs.existsSync(program)) return false
  const built = fs.statSync(program).mtimeMs
  const facts = fs.statSync(path.join(root, 'package.json')).mtimeMs
  return facts < built && newestChange(sources) < built
}

function runSources(folder) {
  if (folder) require('node:module').enableCompileCache(folder)
  // Node.js 22 announces type stripping on every run
  if (/^22\./.test(process.versions.node)) process.removeAllListeners('warning')
  import('./dev.ts')
}

/** `rel --version` alone needs nothing of rel. */
function asksVersion(words) {
  return words.length === 1 && /^(--version|-v|version)$/.test(words[0])
}

function printVersion(text) {
  const facts = JSON.parse(text)
  const machine = `${process.platform}-${process.arch}`
  process.stdout.on('error', () => {})
  process.stdout.write(`rel ${facts.version} ${machine} node-${process.version}\n`)
}

function start() {
  if (!isSupported(process.versions.node)) return refuseOldNode()
  if (asksVersion(process.argv.slice(2)))
    return printVersion(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  const program = path.join(root, 'dist', 'rel.cjs')
  const folder = privateCache()
  if (!runsBuild(program)) return runSources(folder)
  if (!fs.existsSync(program)) return refuseBrokenPackage(program)
  runProgram(packageFiles(folder), program)
}

if (require.main === module) start()
module.exports = {asksVersion, printVersion, privateCache, runProgram}
