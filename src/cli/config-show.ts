import type {JsonObject} from '../system/json.ts'
import type {Config} from './config.ts'
import {settingNames} from './config-parse.ts'

/** The configuration for `rel config show`, one setting a line; origins are always in the JSON. */
export function showConfig(
  {settings, files}: Config,
  withOrigin: boolean,
): {result: JsonObject; lines: string[]} {
  const rows = settingNames.map((name) => {
    const setting = settings[name]
    if (setting === undefined) return {name, value: null, origin: null}
    return {name, value: setting.value, origin: setting.origin}
  })
  return {
    result: {settings: rows, files: files.map(({layer, path}) => ({layer, path}))},
    lines: rows.map(({name, value, origin}) => {
      const shown = `${name.padEnd(8)} ${value ?? '(not set)'}`
      return withOrigin && origin !== null ? `${shown}  (${origin.layer}: ${origin.where})` : shown
    }),
  }
}
