import {readFileSync} from 'node:fs'

/**
 * Seconds since the machine started, the time of a suspend included (CLOCK_BOOTTIME), in steps of
 * 10 ms. Where there is no /proc, time in which the machine is suspended does not count.
 */
export function bootSecs(): number {
  const [first = ''] = (textOf('/proc/uptime') ?? '').split(' ')
  return /^\d+\.\d+$/.test(first) ? Number(first) : performance.now() / 1000
}

/** Another one after each start of the machine; '0' where the system has none. */
export function bootId(): string {
  const id = textOf('/proc/sys/kernel/random/boot_id')?.trim() ?? ''
  return /^[0-9a-f-]{1,36}$/.test(id) ? id : '0'
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
