import {type Html, html} from './html.ts'

const units = ['KiB', 'MiB', 'GiB', 'TiB'] as const

/** A size as people say it, in binary units: `1.5 MiB`. */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  let value = bytes
  let unit = 'B'
  for (const next of units) {
    if (value < 1023.95) break
    value /= 1024
    unit = next
  }
  return `${value < 99.95 ? value.toFixed(1).replace(/\.0$/, '') : Math.round(value)} ${unit}`
}

/** A size with its bytes on hover. */
export function size(bytes: number): Html {
  return html`<data value="${bytes}" title="${countText(bytes)} bytes">${sizeText(bytes)}</data>`
}

/** A count with thin groups of three. */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, '\u202f')
}

/** `2026-01-01 00:00` in UTC, with the seconds on hover. */
export function moment(secs: number): Html {
  const iso = new Date(secs * 1000).toISOString().replace('.000Z', 'Z')
  const text = iso.slice(0, 16).replace('T', ' ')
  return html`<time datetime="${iso}" title="${iso}">${text}</time>`
}

/** `2026-01-01`, in UTC. */
export function dayText(secs: number): string {
  return new Date(secs * 1000).toISOString().slice(0, 10)
}

/** How far off a time is: `in 3 days`, `2 hours ago`. */
export function distanceText(secs: number, now: number): string {
  const away = Math.abs(secs - now)
  const [count, unit] =
    away >= 2 * 86_400
      ? [Math.floor(away / 86_400), 'days']
      : away >= 2 * 3600
        ? [Math.floor(away / 3600), 'hours']
        : [Math.floor(away / 60), 'minutes']
  return secs >= now ? `in ${count} ${unit}` : `${count} ${unit} ago`
}

/** Text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
