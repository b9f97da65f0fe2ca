#!/bin/sh
# Installs the single executable of rel: downloads it, verifies it, and only then runs or moves it.
#
#     sh install.sh --base URL --key KEY [--version X] [--to DIR] [--dry-run]
#
# POSIX sh. A script that was cut short does nothing: all of it is functions, and the last line is
# a group that a shell does not run before it has read its end.
set -u

# A TEST key: the one of RFC 8032 7.1, TEST 1, whose private half everybody can read there. rel has
# no release keys yet (SECURITY.md), so it is refused unless --allow-test-key is given.
test_key=RWRURVNUVEVTVNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea

usage() {
  cat <<'END'
Usage: sh install.sh --base URL --key KEY [options]
  --base URL        where releases are: URL/latest/download/FILE and URL/download/vX/FILE
  --key KEY         the minisign public key (RW...) that signed SHA256SUMS
  --version X       this version instead of the latest
  --to DIR          instead of /usr/local/bin (when it can be written) or ~/.local/bin
  --dry-run         verify what is offered, and install nothing
  --allow-test-key  take the test key of this script, which proves nothing
Exit codes: 2 wrong words, 20 not verified, 28 this machine lacks something, 75 download failed
END
}

refuse() {
  printf '✖ %s\n' "$2" >&2
  [ $# -lt 3 ] || printf '  Fix: %s\n' "$3" >&2
  exit "$1"
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# shellcheck disable=SC2317 # the trap calls it
clean_up() {
  [ -z "$scratch" ] || rm -rf "$scratch"
  [ -z "$staging" ] || rm -rf "$staging"
}

# read_words WORD...: sets what was asked for
read_words() {
  base='' key='' version='' to='' dry_run=no allow_test_key=no
  while [ $# -gt 0 ]; do
    case $1 in
      --base | --key | --version | --to)
        [ $# -ge 2 ] || refuse 2 "$1 needs a value"
        case $1 in
          --base) base=${2%/} ;;
          --key) key=$2 ;;
          --version) version=${2#v} ;;
          --to) to=$2 ;;
        esac
        shift 2
        ;;
      --dry-run) dry_run=yes && shift ;;
      --allow-test-key) allow_test_key=yes && shift ;;
      --help | -h) usage && exit 0 ;;
      *) refuse 2 "unknown word $1" 'sh install.sh --help' ;;
    esac
  done
  case $base in
    https://?* | http://?*) ;;
    *) refuse 2 'no --base: where are the releases?' 'sh install.sh --help' ;;
  esac
  case $version in
    *[!0-9A-Za-z.+-]*) refuse 2 '--version is no version' ;;
  esac
  if [ -z "$key" ]; then
    [ "$allow_test_key" = yes ] ||
      refuse 20 'rel has no release keys yet, and the test key of this script proves nothing' \
        'give the key of whoever signed the release with --key'
    printf '! the test key is used: anybody can sign with it\n' >&2
    key=$test_key
  fi
  case $key in
    *[!A-Za-z0-9+/]*) refuse 2 '--key is no minisign public key' ;;
    RW??????????????????????????????????????????????????????) ;;
    *) refuse 2 '--key is no minisign public key' ;;
  esac
}

find_machine() {
  [ "$(uname -s)" = Linux ] || refuse 28 "there are executables for Linux only, this is $(uname -s)"
  case $(uname -m) in
    x86_64 | amd64) machine=x64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) refuse 28 "there is no executable for $(uname -m)" 'install the npm package instead' ;;
  esac
  name=rel-linux-$machine
}

find_tools() {
  if has curl; then
    downloader=curl
  elif has wget; then
    downloader=wget
  else
    refuse 28 'neither curl nor wget is here' 'install one of them'
  fi
  has sha256sum || has openssl || refuse 28 'neither sha256sum nor openssl is here'
  if has minisign; then
    verifier=minisign
  elif has openssl && openssl pkeyutl -help 2>&1 | grep -q -e -rawin; then
    verifier=openssl
  else
    refuse 28 'nothing here can verify a signature' 'install minisign, or OpenSSL 3'
  fi
}

# download FILE PATH BLOCKS: at most BLOCKS of 512 or 1024 bytes, as this shell counts
download() {
  address=$base/latest/download/$1
  [ -z "$version" ] || address=$base/download/v$version/$1
  (
    ulimit -f "$3" 2>/dev/null
    case $downloader in
      curl) exec curl -fsSL --retry 2 -o "$2" "$address" ;;
      wget) exec wget -q -O "$2" "$address" ;;
    esac
  ) || refuse 75 "cannot download $address"
}

verify_sums() {
  case $verifier in
    minisign)
      download SHA256SUMS.minisig "$scratch/SHA256SUMS.minisig" 64
      minisign -Vqm "$scratch/SHA256SUMS" -x "$scratch/SHA256SUMS.minisig" -P "$key" >/dev/null 2>&1
      ;;
    openssl)
      download SHA256SUMS.sig "$scratch/SHA256SUMS.sig" 64
      # RFC 8410: what stands before the 32 bytes of an Ed25519 key
      printf '\060\052\060\005\006\003\053\145\160\003\041\000' >"$scratch/key"
      printf '%s' "$key" | openssl base64 -d -A | tail -c 32 >>"$scratch/key"
      tr -d '\n' <"$scratch/SHA256SUMS.sig" | openssl base64 -d -A >"$scratch/signature"
      openssl pkeyutl -verify -pubin -keyform DER -inkey "$scratch/key" -rawin \
        -in "$scratch/SHA256SUMS" -sigfile "$scratch/signature" >/dev/null 2>&1
      ;;
  esac || refuse 20 "SHA256SUMS is not signed by $key ($verifier)"
}

# digest_of NAME: what the signed list says of it; nothing when it is not listed
digest_of() {
  while read -r listed file; do
    [ "$file" != "$1" ] || printf '%s' "$listed"
  done <"$scratch/SHA256SUMS"
}

sha256_of() {
  if has sha256sum; then
    sha256sum <"$1"
  else
    openssl dgst -sha256 -r <"$1"
  fi | cut -c 1-64
}

check_digest() {
  [ "$(sha256_of "$1")" = "$2" ] || refuse 20 "$3 is not the file that was signed"
}

find_target() {
  if [ -z "$to" ]; then
    to=/usr/local/bin
    [ -w "$to" ] || to=${HOME:?}/.local/bin
  fi
  case $to in
    /*) ;;
    *) to=$PWD/$to ;;
  esac
  target=$to/rel
  [ ! -d "$target" ] || refuse 28 "$target is a folder"
}

# Verified bytes only: beside the target, so that moving them is one step.
fetch_executable() {
  mkdir -p "$to" 2>/dev/null || refuse 28 "cannot make $to" 'choose a folder with --to'
  staging=$(mktemp -d "$to/.rel-install.XXXXXX" 2>/dev/null) ||
    refuse 28 "cannot write in $to" 'choose a folder with --to'
  packed=$(digest_of "$name.gz")
  if [ -n "$packed" ] && has gzip; then
    download "$name.gz" "$staging/rel.gz" 1000000
    check_digest "$staging/rel.gz" "$packed" "$name.gz"
    gzip -dc "$staging/rel.gz" >"$staging/rel" || refuse 28 "cannot unpack $name.gz in $to"
  else
    download "$name" "$staging/rel" 1000000
  fi
  check_digest "$staging/rel" "$digest" "$name"
  chmod 755 "$staging/rel" || refuse 28 "cannot make the executable in $to"
}

# An old release that is signed too must not stand in for the one that was asked for.
check_version() {
  said=$("$staging/rel" --version 2>&1) ||
    refuse 28 "the executable does not run here: $said" \
      'it needs glibc 2.28, libstdc++ and libatomic (Debian: apt install libatomic1)'
  said=${said#rel }
  said=${said%% *}
  [ -z "$version" ] || [ "$said" = "$version" ] ||
    refuse 20 "version $version was asked for, the signed file is $said"
}

# What is called the latest is not signed to be it: an old release, shown again, must not take the
# place of a newer one. Somebody else's file is not run to be asked.
# shellcheck disable=SC3067 # -O: dash, busybox and bash have it
check_newer() {
  [ -z "$version" ] && [ -f "$target" ] && [ -x "$target" ] && [ -O "$target" ] || return 0
  there=$("$target" --version 2>/dev/null) || return 0
  there=${there#rel }
  there=${there%% *}
  ! is_older "$said" "$there" ||
    refuse 20 "the latest is said to be $said, but $there is installed" \
      "if an older one is wanted: --version $said"
}

# is_older A B: whether A comes before B; what is no version comes before nothing
is_older() {
  left=${1%%[-+]*} right=${2%%[-+]*}
  for _ in major minor patch; do
    first=${left%%.*} second=${right%%.*}
    case $first-$second in
      -* | *- | *[!0-9-]*) return 1 ;;
    esac
    [ "$first" -eq "$second" ] || {
      [ "$first" -lt "$second" ]
      return
    }
    left=${left#*.} right=${right#*.}
  done
  case ${1%%+*}/${2%%+*} in
    *-*/*-*) return 1 ;;
    *-*/*) return 0 ;;
  esac
  return 1
}

main() {
  scratch='' staging=''
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  umask 022
  read_words "$@"
  find_machine
  find_tools
  find_target
  scratch=$(mktemp -d) || refuse 28 'cannot make a temporary folder'
  download SHA256SUMS "$scratch/SHA256SUMS" 64
  verify_sums
  digest=$(digest_of "$name")
  [ "${#digest}" = 64 ] || refuse 20 "SHA256SUMS does not list $name once"
  if [ -f "$target" ] && [ "$(sha256_of "$target")" = "$digest" ]; then
    printf '✔ %s is this version already\n' "$target"
    return 0
  fi
  if [ "$dry_run" = yes ]; then
    printf 'verified by %s: %s %s\nwould be installed as %s\n' "$verifier" "$name" "$digest" "$target"
    return 0
  fi
  fetch_executable
  check_version
  check_newer
  sync "$staging/rel" 2>/dev/null || sync
  mv -f "$staging/rel" "$target" || refuse 28 "cannot move the executable to $target"
  printf '✔ rel %s is %s\n' "$said" "$target"
  case :$PATH: in
    *":$to:"*) ;;
    *) printf '! %s is not in PATH\n' "$to" >&2 ;;
  esac
}

{ main "$@"; exit; }
