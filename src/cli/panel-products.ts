import {type ProductTerms, productChange} from '../panel/admin/product-change.ts'
import {productFacts} from '../panel/admin/products.ts'
import type {Product, ProductChange} from '../panel/store/store.ts'
import type {Slot} from '../release/release.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {shellWord} from '../system/shell-word.ts'
import {anchorLimits} from '../trust/anchor.ts'
import {limitName} from '../trust/anchor-parse.ts'
import type {Outcome} from './base-command.ts'
import type {PanelPlace} from './panel-flags.ts'
import {besidePanel, local} from './panel-place.ts'
import type {ProductFlagValues} from './panel-product-flags.ts'

/** `rel panel product add`: makes it, or brings the one there is to these terms. */
export function addPanelProduct(name: string, flags: ProductFlagValues): Promise<Outcome> {
  return bringTo(name, flags, true)
}

/** `rel panel product set`. Refuses with product_unknown. */
export function setPanelProduct(name: string, flags: ProductFlagValues): Promise<Outcome> {
  return bringTo(name, flags, false)
}

/** `rel panel product list`. */
export async function listPanelProducts(place: PanelPlace): Promise<Outcome> {
  const products = await besidePanel(place, ({store}) => store.products())
  return {
    result: {products: products.map(productFacts)},
    lines: products.map(({name, matrix, floor, anchor}) => {
      const trust = anchor === undefined ? 'no trust anchor' : 'trust anchor'
      return `${name}  ${matrix.required.length} required  ${trust}  floor ${floor ?? 'none'}`
    }),
  }
}

/** `rel panel product show`. Refuses with product_unknown. */
export async function showPanelProduct(name: string, place: PanelPlace): Promise<Outcome> {
  const product = await besidePanel(place, ({store}) => store.product(name))
  if (product === undefined) throw unknown(name)
  return {result: productFacts(product), lines: linesOf(product)}
}

async function bringTo(name: string, flags: ProductFlagValues, makes: boolean): Promise<Outcome> {
  checkName(name)
  const terms = termsOf(flags)
  const isDryRun = flags['dry-run']
  const {before, change, after} = await besidePanel(flags, async ({store, clock}) => {
    const before = await store.product(name)
    if (before === undefined && !makes) throw unknown(name)
    const change = productChange(before, terms, clock())
    if (isDryRun) return {before, change, after: before}
    if (before === undefined) await store.addProduct(name, local)
    return {before, change, after: await store.setProduct(name, change, local)}
  })
  const fields = Object.keys(change).toSorted()
  const isChanged = before === undefined || fields.length > 0
  const result: JsonObject = {
    name,
    is_new: before === undefined,
    changed: fields.map((field) => (field === 'required' ? 'matrix' : field)),
    dry_run: isDryRun,
    ...(after === undefined ? {} : {product: productFacts(after)}),
  }
  return {
    result,
    lines: [
      headline(name, before, {isChanged, isDryRun}),
      ...changeLines(before, change),
      ...(isDryRun || !isChanged ? [] : remarks(before, change)),
    ],
    ...(isDryRun ? {} : undoOf(name, before, change)),
    ...(after === undefined || isDryRun ? {} : nextOf(after)),
  }
}

function headline(
  name: string,
  before: Product | undefined,
  {isChanged, isDryRun}: {readonly isChanged: boolean; readonly isDryRun: boolean},
): string {
  if (!isChanged) return `✔ ${name} is so already`
  const [made, changed] = isDryRun ? ['would be made', 'would change'] : ['is made', 'is changed']
  return `${isDryRun ? '' : '✔ '}${name} ${before === undefined ? made : changed}`
}

function changeLines(before: Product | undefined, change: ProductChange): string[] {
  const {required, floor, stopovers, anchor} = change
  return [
    ...(required === undefined
      ? []
      : [
          `  matrix: ${listed(before?.matrix.required.map(slotText))} → ${listed(required.map(slotText))}`,
        ]),
    ...(floor === undefined ? [] : [`  floor: ${before?.floor ?? 'none'} → ${floor}`]),
    ...(stopovers === undefined
      ? []
      : [`  stop-overs: ${listed(before?.stopovers)} → ${listed(stopovers)}`]),
    ...(anchor === undefined
      ? []
      : [`  trust anchor: ${before?.anchor === undefined ? 'the first one' : 'the next one'}`]),
  ]
}

/** What cannot be taken back is said. */
function remarks(before: Product | undefined, {floor, anchor}: ProductChange): string[] {
  return [
    ...(before === undefined ? ['  There is no undo: a product stays, its name with it.'] : []),
    ...(floor === undefined ? [] : ['  There is no undo for the floor: it only rises.']),
    ...(anchor === undefined || before === undefined
      ? []
      : ['  There is no undo for the anchor: the next version of it follows.']),
  ]
}

function undoOf(
  name: string,
  before: Product | undefined,
  {required, stopovers}: ProductChange,
): {readonly undo?: string} {
  if (before === undefined) return {}
  const words = [
    ...(required === undefined || before.matrix.required.length === 0
      ? []
      : before.matrix.required.map((slot) => `--require ${shellWord(slotText(slot))}`)),
    ...(stopovers === undefined
      ? []
      : before.stopovers.length === 0
        ? ['--no-stopovers']
        : before.stopovers.map((version) => `--stopover ${shellWord(version)}`)),
  ]
  if (words.length === 0) return {}
  return {undo: `rel panel product set ${shellWord(name)} ${words.join(' ')} --data DIR`}
}

function nextOf({name, matrix, anchor}: Product): {readonly next: string} {
  const place = `${shellWord(name)} --data DIR`
  if (anchor === undefined) return {next: `rel panel product set ${place} --anchor trust.json`}
  if (matrix.required.length === 0)
    return {next: `rel panel product set ${place} --require COMPONENT/OS/ARCH`}
  return {
    next: `rel panel token new ci --verb publish --verb release --product ${place}`,
  }
}

function linesOf(product: Product): string[] {
  const {name, matrix, floor, stopovers} = product
  const {anchor} = productFacts(product)
  const trust =
    anchor === undefined
      ? 'none: rel panel product set --anchor trust.json'
      : `version ${anchor.version}, until ${new Date(anchor.expires * 1000).toISOString()}`
  return [
    name,
    `  matrix ${matrix.version}: ${listed(matrix.required.map(slotText))}`,
    `  floor: ${floor ?? 'none'}`,
    `  stop-overs: ${listed(stopovers)}`,
    `  trust anchor: ${trust}`,
  ]
}

function listed(texts: readonly string[] = []): string {
  return texts.length === 0 ? 'none' : texts.join(', ')
}

function termsOf(flags: ProductFlagValues): ProductTerms {
  const {anchor, require: required, floor, stopover: stopovers} = flags
  return {
    ...(anchor === undefined ? {} : {anchor: readFileLimited(anchor, anchorLimits.bytes)}),
    ...(required === undefined ? {} : {required: required.map(slotOf)}),
    ...(floor === undefined ? {} : {floor}),
    ...(flags['no-stopovers'] ? {stopovers: []} : stopovers === undefined ? {} : {stopovers}),
  }
}

function slotOf(text: string): Slot {
  const [component = '', os = '', arch = '', ...more] = text.split('/')
  if (more.length > 0 || ![component, os, arch].every((part) => limitName.test(part)))
    throw new RelError('usage_invalid', `--require is not COMPONENT/OS/ARCH: ${text}`)
  return {component, os, arch}
}

function slotText({component, os, arch}: Slot): string {
  return `${component}/${os}/${arch}`
}

function checkName(name: string): void {
  if (!limitName.test(name))
    throw new RelError('usage_invalid', 'a product is named by letters, digits, dots and dashes')
}

function unknown(name: string): RelError {
  return new RelError('product_unknown', `the panel has no product ${name}`)
}
