import {RelError} from '../system/error.ts'
import {nodeName} from '../system/node-name.ts'
import {type Device, recordsOf} from './device.ts'

/**
 * What a node says of itself to its panel: its name, and the number of its record as it is now, so
 * that a node which was set back to an old copy is noticed. None without a name, or where the record
 * cannot be read.
 */
export function statementOf(
  device: Device,
): {readonly node: string; readonly seq: number} | undefined {
  const {node} = device.config
  if (node === undefined || !nodeName.test(node)) return undefined
  try {
    return {node, seq: recordsOf(device).record.seq}
  } catch (error) {
    if (error instanceof RelError) return undefined
    throw error
  }
}
