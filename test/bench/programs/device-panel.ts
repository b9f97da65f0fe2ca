import {symlinkSync, writeFileSync} from 'node:fs'
import {
  nodeAnchor,
  panelLicense,
  panelNode,
  startAppPanel,
} from '../../support/device/panel-node.ts'

// A panel with nothing new for its one node, whose folder is `node` here; ends with its parent.

const panel = await startAppPanel({clock: () => Math.floor(Date.now() / 1000)})
const {file} = await panelLicense(panel)
const anchor = await nodeAnchor(panel)
const {root} = await panelNode({url: panel.url, anchor, license: file})
symlinkSync(root, 'node')
writeFileSync('node.ready', '')
process.once('disconnect', () => process.exit())
