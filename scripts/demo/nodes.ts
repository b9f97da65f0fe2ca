import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {exitCodeOf} from '../../src/system/codes.ts'
import {type ProgramArch, printingProgram} from '../../test/support/elf-program.ts'
import {home, manifestWords, place, publishWords, type Shown} from './panel.ts'
import {announce, fail, heading, quietly, run, runProgram, runRefused, say} from './stage.ts'

const arch: ProgramArch = process.arch === 'x64' ? 'amd64' : 'arm64'
const nodes = ['berlin', 'oslo'] as const
const manifestPath = '/update/manifest.json'

/** Two nodes take their updates from the panel; a broken build takes itself back; the panel lies. */
export async function showNodes({url}: Shown): Promise<void> {
  say(heading('13. Two nodes of a customer keep themselves up to date'))
  const network = await startNetwork(url)
  await makeNodes(network.url)
  await update()
  const yesterday = network.recorded(manifestPath)
  await breakBuild(url)
  await attack(network, yesterday)
  await network.close()
}

/** What is between the panel and its nodes: honest, until it changes what is asked for. */
type Network = {
  readonly url: string
  /** The last answer to a path, as it came from the panel. */
  recorded(path: string): Buffer
  change: (path: string, body: Buffer) => Buffer
  close(): Promise<void>
}

async function startNetwork(panel: string): Promise<Network> {
  const answers = new Map<string, Buffer>()
  const server = createServer(async (request, response) => {
    const body: Buffer[] = []
    for await (const chunk of request) body.push(chunk as Buffer)
    const {host: _, connection: __, ...headers} = request.headers as Record<string, string>
    const method = request.method ?? 'GET'
    const sent = body.length > 0 ? {body: Buffer.concat(body)} : {}
    const answer = await fetch(`${panel}${request.url}`, {method, headers, ...sent})
    const bytes = Buffer.from(await answer.arrayBuffer())
    const path = new URL(request.url ?? '/', panel).pathname
    if (answer.status === 200) answers.set(path, bytes)
    const given = answer.status === 200 ? network.change(path, bytes) : bytes
    const {'content-length': ___, ...rest} = Object.fromEntries(answer.headers)
    response.writeHead(answer.status, {...rest, 'content-length': given.length})
    response.end(given)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const network: Network = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    recorded: (path) => answers.get(path) ?? fail(`a node to have asked for ${path}`),
    change: (_path, body) => body,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return network
}

/** Two folders with a program each, of the release from before. */
async function makeNodes(panel: string): Promise<void> {
  // the node judges licence and freshness itself, by keys of its own anchor
  for (const role of ['license', 'freshness'])
    await quietly(`trust add panel/keys/${role}.pub --role ${role} --key release`, place)
  say(
    '  A node is a folder. Its device.json says who it asks, and how a new version proves itself:',
    '  the program is started and must say the version itself.',
  )
  for (const node of nodes) {
    mkdirSync(join(home, node, 'bin'), {recursive: true, mode: 0o755})
    const program = join(home, node, 'bin/agent')
    const config = {
      spec: 1,
      product: 'agent',
      node,
      target: `linux-${arch}`,
      source: {panel, component: 'agent'},
      binary: {path: program, component: 'agent'},
      upgrade: {enabled: true, policy: 'auto', boot_health_window_secs: 3},
      health: {command: ['sh', '-c', `test "$(${program})" = "$REL_VERSION"`]},
    }
    writeFileSync(join(home, `${node}.json`), JSON.stringify(config))
    const words = `device init ${node} --config ${node}.json --trust trust.json --bundle dist-1.4.1`
    await (node === 'berlin' ? run(words, 0, place) : quietly(words, place))
    writeFileSync(join(home, node, 'license'), readFileSync(join(home, 'stable.license')), {
      mode: 0o600,
    })
  }
}

async function update(): Promise<void> {
  await run('device check berlin', 0, place)
  await run('device run berlin --once', 0, place)
  say('', '  In Oslo a person decides when:')
  await run('device stage oslo', 0, place)
  await run('device apply oslo', 0, place)
  await says('1.4.2')
  await run('device check berlin', 0, place)
}

/** Starts the programs themselves: what runs on both nodes. */
async function says(version: string): Promise<void> {
  const versions = await Promise.all(
    nodes.map(async (node) => (await runProgram(join(home, node, 'bin/agent'), [])).said),
  )
  const lines = nodes.map((node, at) => `    ${node}/bin/agent says ${versions[at]}`)
  say('', '  What runs:', ...lines)
  if (versions.some((said) => said !== version)) fail(`${version} on both nodes`)
}

/** Built, signed and published as it should be; it only does not do what it is for. */
async function breakBuild(url: string): Promise<void> {
  say(heading('14. A broken build is published, and the node takes itself back'))
  mkdirSync(join(home, 'dist-1.4.5'))
  for (const each of ['amd64', 'arm64'] as const) {
    const bytes = printingProgram(each, '1.4.5\n').subarray(0, 150)
    writeFileSync(join(home, `dist-1.4.5/agent-linux-${each}`), bytes, {mode: 0o755})
  }
  await quietly(manifestWords('1.4.5'), place)
  await quietly(publishWords(url, 'dist-1.4.5'), place)
  say('  The linker ran out of disk: the programs of 1.4.5 are cut off, and signed all the same.')
  await run('device run berlin --once', exitCodeOf('upgrade_rolled_back'), place)
  await run('device status berlin', 0, place)
  await says('1.4.2')
}

async function attack(network: Network, yesterday: Buffer): Promise<void> {
  say(heading('15. Now the panel itself is in the hands of somebody else'))
  announce('It sells the release that it has as 9.9.9')
  network.change = (path, body) =>
    path === manifestPath ? Buffer.from(body.toString('utf8').replaceAll('1.4.5', '9.9.9')) : body
  await runRefused('device check oslo', 'upgrade_signature_invalid', place)

  announce('It answers as it did yesterday, with a genuine release and genuine statements')
  network.change = (path, body) => (path === manifestPath ? yesterday : body)
  await runRefused('device check berlin', 'upgrade_source_rewound', place)

  announce('It changes one bit of a download')
  network.change = (path, body) => (path.startsWith('/download/') ? flipped(body) : body)
  await runRefused('device stage oslo', 'upgrade_checksum_mismatch', place)

  announce('An old release, well signed, is carried to the node by hand')
  await runRefused('device stage oslo dist-1.4.1', 'upgrade_version_too_old', place)
  await says('1.4.2')
}

function flipped(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes)
  changed[changed.length - 2] = (changed.at(-2) ?? 0) ^ 1
  return changed
}
