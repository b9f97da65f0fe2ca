import type {PanelLog} from '../panel.ts'

/** A log of JSON lines: time, level, event, then the fields in the order they are given. */
export function jsonLines(write: (line: string) => void, nowMs: () => number = Date.now): PanelLog {
  return ({level, event, fields}) => {
    const time = new Date(nowMs()).toISOString()
    write(`${JSON.stringify({time, level, event, ...fields})}\n`)
  }
}
