import type {CodeTable} from './code.ts'

const readLog = 'Read the console log named in the report; nothing was changed.'
const noHostBuild =
  'Ask upstream for the right build, or correct the playbook; nothing was changed.'

/** Codes of the gates: proofs that can refuse a change (docs/formats/gates.md). */
export const gatesCodes = {
  gate_unavailable: {
    exit: 'local',
    title: 'a gate could not be run on this machine',
    cause: 'A program or a firmware that the gate needs is not there. That is never a pass.',
    fix: 'Install what the message names; on Debian: qemu-system-arm, qemu-efi-aarch64, qemu-user-static.',
  },
  gate_needs_evidence: {
    exit: 'gate',
    title: 'no gate here can prove this',
    cause: 'What was changed runs on real hardware only, such as the firmware of a GPU.',
    fix: 'Add a signed evidence item of a run on the hardware, or a signed waiver.',
  },
  build_file_missing: {
    exit: 'gate',
    title: 'a verified file is not where the build should have put it',
    cause: 'The build left it out, renamed it, or put a link or a folder in its place.',
    fix: 'Have the build take every file from REL_ASSETS; nothing was changed.',
  },
  build_file_differs: {
    exit: 'gate',
    title: 'a file of the build is not the verified one',
    cause: 'The build fetched another one, changed it, or took part of it.',
    fix: 'Have the build take every file from REL_ASSETS; nothing was changed.',
  },
  build_file_unexpected: {
    exit: 'gate',
    title: 'the build has firmware that nobody verified',
    cause: 'Beside the verified files there is another start*.elf, fixup*.dat or *.dtbo.',
    fix: 'Name the file in the playbook, or have the build leave it out.',
  },
  boot_kernel_invalid: {
    exit: 'gate',
    title: 'the kernel is not an image for this machine',
    cause: 'The file is of another format or for another architecture.',
    fix: noHostBuild,
  },
  boot_kernel_truncated: {
    exit: 'gate',
    title: 'the kernel ends too early',
    cause: 'Its header announces more than the file has: a download or a copy stopped.',
    fix: 'Get the kernel again.',
  },
  boot_panic: {
    exit: 'gate',
    title: 'the kernel panicked',
    cause: 'The console log has a kernel panic, although QEMU itself ended without an error.',
    fix: readLog,
  },
  boot_oops: {
    exit: 'gate',
    title: 'the kernel hit a bug of its own',
    cause: 'The console log has an oops or a BUG; the kernel may go on, but not safely.',
    fix: readLog,
  },
  boot_no_init: {
    exit: 'gate',
    title: 'the kernel found no init to run',
    cause: 'The initrd is damaged, has no shell, or has no executable /init; or no root was found.',
    fix: 'Build the initrd again; it needs /bin/sh, an executable /init and what they load.',
  },
  boot_hang: {
    exit: 'gate',
    title: 'the guest did not come up in time',
    cause: 'Neither a proof nor a failure was seen on the console before the time limit.',
    fix: 'Read the console log named in the report; give --timeout more seconds on a slow machine.',
  },
  boot_ended_early: {
    exit: 'gate',
    title: 'the guest ended before it proved anything',
    cause: 'It powered off or restarted without the proof of this run.',
    fix: readLog,
  },
  boot_wrong_kernel: {
    exit: 'gate',
    title: 'another kernel booted than the one wanted',
    cause: 'Its release (uname -r) is not the expected one: an old image, or a wrong pin.',
    fix: 'Check which kernel the image was built with, and what --expect-release says.',
  },
  boot_wrong_machine: {
    exit: 'gate',
    title: 'the guest runs on another architecture',
    cause: 'uname -m of the guest is not what the gate boots.',
    fix: noHostBuild,
  },
  boot_sentinel_forged: {
    exit: 'gate',
    title: 'the console shows a proof of another run',
    cause: 'Somebody printed the line of a passed boot without the number of this run.',
    fix: 'Find out who prints it: the kernel command line, the initrd, or an old log.',
  },
  boot_log_limit: {
    exit: 'gate',
    title: 'the guest printed without end',
    cause: 'The console log has a limit, so that a guest cannot fill the disk.',
    fix: readLog,
  },
  boot_heartbeat_missing: {
    exit: 'gate',
    title: 'the guest came up but sent no heartbeat',
    cause: 'No HTTP request reached the listener before the time limit.',
    fix: 'Check the network driver in the initrd and the address its agent reports to.',
  },
  boot_ssh_missing: {
    exit: 'gate',
    title: 'the guest came up but no SSH server answered',
    cause: 'Nothing on port 22 of the guest spoke SSH before the time limit.',
    fix: 'Check the network driver and the SSH server of the image.',
  },
  boot_qemu_failed: {
    exit: 'local',
    title: 'QEMU itself failed',
    cause: 'It refused its arguments or crashed, so nothing is known of the kernel.',
    fix: 'Read what QEMU said in its log; install a newer QEMU.',
  },
  elf_not: {
    exit: 'gate',
    title: 'the file is not an ELF program',
    cause: 'It has another format: an archive, a script, an HTML page.',
    fix: noHostBuild,
  },
  elf_truncated: {
    exit: 'gate',
    title: 'the ELF file ends too early',
    cause: 'Its headers point behind the end of the file: a download or a copy stopped.',
    fix: 'Get the file again.',
  },
  elf_malformed: {
    exit: 'gate',
    title: 'the ELF file contradicts its format',
    cause: 'A header has a size, a count or a value that no linker writes.',
    fix: 'Do not run it. Get the file again.',
  },
  elf_machine: {
    exit: 'gate',
    title: 'the program is for another architecture',
    cause: 'The machine in its header is not the one that was asked for.',
    fix: noHostBuild,
  },
  elf_type: {
    exit: 'gate',
    title: 'the ELF file is not a program',
    cause: 'It is a library, an object file or a core dump.',
    fix: noHostBuild,
  },
  elf_dynamic: {
    exit: 'gate',
    title: 'the program needs libraries of the machine it runs on',
    cause: 'It names a loader or shared libraries, where a static program was asked for.',
    fix: noHostBuild,
  },
  run_failed: {
    exit: 'gate',
    title: 'the program or command failed',
    cause: 'It ended with an error or by a signal.',
    fix: 'Read its log named in the report.',
  },
  run_timeout: {
    exit: 'gate',
    title: 'the program or command did not end in time',
    cause: 'It was killed at its time limit, with everything it had started.',
    fix: 'Read its log named in the report; give it more time in the playbook when it needs it.',
  },
  run_log_limit: {
    exit: 'gate',
    title: 'the program or command printed without end',
    cause: 'Its log has a limit, so that it cannot fill the disk.',
    fix: 'Read its log named in the report; have it print less.',
  },
  run_text_missing: {
    exit: 'gate',
    title: 'the program did not say what was expected',
    cause: 'Its output lacks the expected text, such as the new version.',
    fix: 'Check that the asset of the new version was vendored, and what the playbook expects.',
  },
  repro_differs: {
    exit: 'notReproducible',
    title: 'two builds gave different results',
    cause: 'Time, path, user settings or order of files got into what was built.',
    fix: 'Look at the first differing path; diffoscope, when installed, shows what differs.',
  },
  repro_build_failed: {
    exit: 'gate',
    title: 'a build of the reproducibility gate failed',
    cause: 'Nothing is known about reproducibility: the build itself did not end well.',
    fix: 'Read the log of the build named in the report.',
  },
  repro_output_missing: {
    exit: 'gate',
    title: 'a build made nothing to compare',
    cause: 'An output that was named does not exist after the build, or there is none at all.',
    fix: 'Name with --output what the build makes.',
  },
  repro_gate_blind: {
    exit: 'gate',
    title: 'the reproducibility gate cannot see differences here',
    cause: 'A planted difference was not found, so a pass would mean nothing.',
    fix: 'Name the setting in the message with --keep if this machine cannot vary it.',
  },
  repro_limit: {
    exit: 'usage',
    title: 'the tree to build is over a limit',
    cause:
      'The gate copies the source twice and compares outputs, within limits of size and count.',
    fix: 'Name a smaller --source, without caches and results of earlier builds.',
  },
} as const satisfies CodeTable
