import {type OpenPanel, openPanel, type PanelOptions} from '../panel/open-panel.ts'
import {RelError} from '../system/error.ts'
import {statIfThere} from '../system/files.ts'
import type {PanelPlace} from './panel-flags.ts'

/** Who does what the commands of this machine do, in the audit log. */
export const local = {id: 'local'}

/** Where a panel is, from its flags. */
export function placeOf({
  data,
  database,
  store,
}: PanelPlace): Pick<PanelOptions, 'data' | 'database' | 'store'> {
  return {
    data,
    ...(database === undefined ? {} : {database}),
    ...(store === undefined ? {} : {store}),
  }
}

/**
 * Opens a panel that exists, beside one that may be running, and closes it whatever happens.
 * Refuses with file_missing, and as openPanel does.
 */
export async function besidePanel<T>(
  place: PanelPlace,
  work: (panel: OpenPanel) => Promise<T>,
): Promise<T> {
  if (statIfThere(place.data) === undefined)
    throw new RelError('file_missing', `there is no panel at ${place.data}`, {
      hint: 'rel panel serve --data DIR makes one.',
    })
  const panel = await openPanel({...placeOf(place), lock: false})
  try {
    return await work(panel)
  } finally {
    await panel.close()
  }
}
