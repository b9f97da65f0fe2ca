import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {withLazyRequires} from '../../../scripts/build.ts'

/** Runs CommonJS text with a require that records what was asked for. */
function evaluate(source: string): {exports: Record<string, () => unknown>; required: string[]} {
  const required: string[] = []
  const exports: Record<string, () => unknown> = {}
  const require = (name: string) => {
    required.push(name)
    return {name, default: {inner: name}, Thing: class {}}
  }
  const star = (module: unknown) => module
  new Function('require', 'exports', '__importStar', withLazyRequires(source))(
    require,
    exports,
    star,
  )
  return {exports, required}
}

test('a module is required when it is first used, and once', () => {
  const source = `const a_1 = require("./a");
const b_1 = __importStar(require("b"));
exports.name = () => a_1.name + (0, b_1.default).inner;
exports.made = () => new a_1.Thing();`
  const {exports, required} = evaluate(source)
  assert.equal(required, [])
  assert.is(exports.name?.(), './ab')
  assert.ok(exports.made?.())
  assert.equal(required, ['./a', 'b'])
})

test('properties, strings and longer names of the same spelling are left alone', () => {
  const source = `const a_1 = require("./a");
const b = {}; b.a_1 = 1; const my_a_1 = 2;
exports.text = () => ['a_1', b.a_1, my_a_1, a_1.name];`
  assert.equal(evaluate(source).exports.text?.(), ['a_1', 1, 2, './a'])
})

test('text without top-level requires stays as it is', () => {
  const source = 'function f() { const a_1 = require("./a"); return a_1 }'
  assert.is(withLazyRequires(source), source)
})

test.run()
