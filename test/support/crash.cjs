// Loaded before rel with NODE_OPTIONS: the file system breaks with a secret in the message, as a
// library's error would, for every path in a folder called where-the-disk-breaks.
const fs = require('node:fs')

for (const name of ['lstatSync', 'openSync', 'readFileSync', 'readdirSync', 'statSync']) {
  const original = fs[name]
  fs[name] = (path, ...rest) => {
    if (String(path).includes('/where-the-disk-breaks/'))
      throw new TypeError(`boom ${process.env.REL_TOKEN}`)
    return original(path, ...rest)
  }
}
require('node:module').syncBuiltinESMExports()
