import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import type {GateWorld} from './gate.ts'
import {findProgram, runProgram} from './run-program.ts'

/** A program that is run, and what it needs beside the system's own folders. */
export type Enclosed = {
  /** Private folder; what is mounted in it is gone with the program. */
  readonly folder: string
  /** Folder with the program; the program sees it under this path where nothing hides it. */
  readonly programs: string
  readonly name: string
  /** Emulator that runs it, as an absolute path. */
  readonly emulator?: string
}

export type Enclosure = {
  /** What starts the program; its arguments are added. */
  readonly words: readonly string[]
  /** Where its home is, if it has a root of its own. */
  readonly home?: string
  readonly caveats: readonly string[]
}

/** Ends when the program does, and with it everything else in its process namespace. */
const asFirstProcess = ['/bin/sh', '-c', '"$@"; exit "$?"', 'rel'] as const

/**
 * A root of its own: the system's programs and libraries, read-only, and nothing else of the
 * machine. Its arguments are the mount point, the folder of the program, an emulator or '', and the
 * words to run.
 */
const newRoot = `set -e
PATH=/usr/bin:/bin:/usr/sbin:/sbin
root=$1 programs=$2 emulator=$3
shift 3
bind() {
  mount --bind "$1" "$2" 2>/dev/null || mount --rbind "$1" "$2"
  mount -o remount,bind,ro,nosuid,nodev "$2"
}
mount -t tmpfs -o mode=755,size=256m,nr_inodes=16k,nosuid,nodev rel "$root"
cd "$root"
mkdir old proc dev etc rel
mkdir -m 1777 tmp home
for at in /usr /bin /sbin /lib /lib32 /lib64 /libx32 /nix/store /etc/alternatives; do
  if [ -L "$at" ]; then
    ln -s "$(readlink "$at")" ".$at"
  elif [ -d "$at" ]; then
    mkdir -p ".$at"
    bind "$at" ".$at"
  fi
done
[ ! -f /etc/ld.so.cache ] || cp /etc/ld.so.cache etc/
if [ -n "$emulator" ] && [ ! -e ".$emulator" ]; then
  mkdir -p ".\${emulator%/*}"
  : >".$emulator"
  bind "$emulator" ".$emulator"
fi
for at in null zero full random urandom; do
  : >"dev/$at"
  mount --bind "/dev/$at" "dev/$at"
done
ln -s /proc/self/fd dev/fd
bind "$programs" rel
mount -t proc -o ro,nosuid,nodev,noexec proc proc
pivot_root . old
cd /home
umount -l /old
rmdir /old
PATH=/usr/bin:/bin
set +e
"$@"
exit "$?"`

const REACHES_FILES =
  'the program could read the files of this user, and reach sockets in them, while it was run'
const REACHES_NETWORK = 'the program could reach the network while it was run'
const GOES_ON = 'what the program started could go on after it had ended'

/**
 * The most that this system allows of: a root without the user's files and sockets, no network, and
 * an end for all it started; as root or with user namespaces, by what util-linux brings. A caveat
 * for each that it does not allow.
 */
export async function enclosureOf(enclosed: Enclosed, world: GateWorld): Promise<Enclosure> {
  const {programs, name, emulator} = enclosed
  const unshare = findProgram('unshare', world.path)
  const setpriv = findProgram('setpriv', world.path)
  const open = [...(emulator === undefined ? [] : [emulator]), join(programs, name)]
  const tight = setpriv === undefined ? [] : [setpriv, '--no-new-privs', '--']
  if (unshare !== undefined) {
    const hidden = setpriv === undefined ? undefined : await hiddenRoot(enclosed, unshare, world)
    if (hidden !== undefined) return hidden
    const apart = ['--net', '--pid', '--fork', '--kill-child', '--']
    for (const form of [apart, ['--user', ...apart]])
      if (await works([unshare, ...form, 'true'], world))
        return {
          words: [unshare, ...form, ...asFirstProcess, ...tight, ...open],
          caveats: [REACHES_FILES],
        }
  }
  return {words: [...tight, ...open], caveats: [REACHES_FILES, REACHES_NETWORK, GOES_ON]}
}

/** Undefined where the system does not allow for it. */
async function hiddenRoot(
  {folder, programs, name, emulator}: Enclosed,
  unshare: string,
  world: GateWorld,
): Promise<Enclosure | undefined> {
  const root = join(folder, 'root')
  mkdirSync(root)
  const apart = ['--mount', '--net', '--pid', '--ipc', '--fork', '--kill-child', '--']
  const enter = ['/bin/sh', '-c', newRoot, 'rel', root, programs, emulator ?? '']
  const bare = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--no-new-privs']
  // to root belongs too much of /usr and /proc, capabilities or not
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups']
  const forms: readonly [string, ...string[]][] = [
    [unshare, ...apart, ...enter, ...bare, ...nobody, '--'],
    [unshare, '--user', '--map-root-user', ...apart, ...enter, ...bare, '--'],
  ]
  for (const form of forms)
    if (await works([...form, 'true'], world))
      return {
        words: [...form, ...(emulator === undefined ? [] : [emulator]), `/rel/${name}`],
        home: '/home',
        caveats: [],
      }
  return undefined
}

/**
 * The words before a command that keeps all rights of the user and whose descendants end with it,
 * also what left its session: in a process namespace, for which it takes the rights of root. In a
 * user namespace neither sudo nor the tools that build images without root would work, so without
 * them a caveat says what endMarked may not find.
 */
export async function closedWords(world: GateWorld): Promise<Pick<Enclosure, 'words' | 'caveats'>> {
  const unshare = findProgram('unshare', world.path)
  if (unshare !== undefined) {
    const words = [unshare, '--pid', '--fork', '--kill-child', '--mount-proc', '--'] as const
    if (await works([...words, 'true'], world))
      return {words: [...words, ...asFirstProcess], caveats: []}
  }
  return {words: [], caveats: ['what the command started and hid could go on after it had ended']}
}

/** The argument list of a program behind other words. */
export function startedBy(
  words: readonly string[],
  program: readonly [string, ...string[]],
): [string, ...string[]] {
  const [first, ...rest] = [...words, ...program]
  return [first ?? program[0], ...rest]
}

async function works(
  argv: readonly [string, ...string[]],
  {path, scratch}: GateWorld,
): Promise<boolean> {
  const end = await runProgram({
    argv,
    cwd: scratch,
    env: {PATH: path},
    timeoutSecs: 10,
    onOutput: () => undefined,
  })
  return end.end === 'exited' && end.exitCode === 0
}
