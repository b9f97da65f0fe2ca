import {monitorEventLoopDelay} from 'node:perf_hooks'

/** How often the delay of the event loop is looked at; what is recorded holds this interval as well. */
const LOOK_MS = 20

/** Counts of one panel process, written as Prometheus text (exposition format 0.0.4). */
export class Metrics {
  readonly #requests = new Map<string, number>()
  readonly #problems = new Map<string, number>()
  readonly #delay = monitorEventLoopDelay({resolution: LOOK_MS})
  readonly #gauges = new Map<string, {help: string; read: () => number}>()
  #uploaded = 0

  constructor() {
    this.#delay.enable()
  }

  /** A request of a route, named by its pattern: paths are somebody else's text. */
  request(method: string, route: string): void {
    const key = `method="${method}",route="${route}"`
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1)
  }

  problem(code: string, status: number): void {
    const key = `code="${code}",status="${status}"`
    this.#problems.set(key, (this.#problems.get(key) ?? 0) + 1)
  }

  uploaded(bytes: number): void {
    this.#uploaded += bytes
  }

  gauge(name: string, help: string, read: () => number): void {
    this.#gauges.set(name, {help, read})
  }

  stop(): void {
    this.#delay.disable()
  }

  text(): string {
    const {user, system} = process.cpuUsage()
    return [
      ...family('rel_panel_requests_total', 'counter', 'Requests by route.', this.#requests),
      ...family('rel_panel_problems_total', 'counter', 'Refusals by code.', this.#problems),
      ...single('rel_panel_uploaded_bytes_total', 'counter', 'Bytes of uploads.', this.#uploaded),
      ...[...this.#gauges].flatMap(([name, {help, read}]) => single(name, 'gauge', help, read())),
      ...single(
        'rel_panel_event_loop_p99_seconds',
        'gauge',
        'Delay of the event loop, 99th percentile.',
        Math.max(0, this.#delay.percentile(99) / 1e9 - LOOK_MS / 1000),
      ),
      ...single(
        'process_cpu_seconds_total',
        'counter',
        'CPU time of the process.',
        (user + system) / 1e6,
      ),
      ...single(
        'process_resident_memory_bytes',
        'gauge',
        'Memory of the process.',
        process.memoryUsage.rss(),
      ),
      '',
    ].join('\n')
  }
}

function family(
  name: string,
  kind: 'counter' | 'gauge',
  help: string,
  values: ReadonlyMap<string, number>,
): string[] {
  const lines = [...values].map(([labels, value]) => `${name}{${labels}} ${value}`)
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...lines]
}

function single(name: string, kind: 'counter' | 'gauge', help: string, value: number): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, `${name} ${value}`]
}
