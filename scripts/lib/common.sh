# shellcheck shell=bash
# What the scripts of this folder share: messages, root rights, missing Debian packages, the binary under test.
# Sourced, never run; the caller has set `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034  # Used by the callers.
readonly root

# Says what the script is doing, on stderr: stdout belongs to results.
note() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Ends the script with one clear line.
die() {
  note "$*"
  exit 1
}

# Ends the script because it was called wrongly.
usage_error() {
  note "$* (see --help)"
  exit 2
}

# Prints the comment block at the head of the calling script, as its --help.
print_head_comment() {
  awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$1"
}

# Runs a command as root: directly, or by sudo.
as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo -- "$@"
  else
    die "needs root rights (or sudo) for: $*"
  fi
}

# Installs the Debian packages behind missing commands: install_missing COMMAND=PACKAGE …
# Nothing is asked of apt when every command is there.
install_missing() {
  local pair
  local packages=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null 2>&1 || packages+=("${pair#*=}")
  done
  [[ ${#packages[@]} -eq 0 ]] && return 0
  command -v apt-get >/dev/null 2>&1 ||
    die "missing: ${packages[*]}, and there is no apt-get here to install them with"
  note "installing ${packages[*]}"
  (
    # Without a policy file Debian starts redis-server as a service as soon as it is unpacked.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      trap 'as_root rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
      as_root chmod 755 "$policy"
    fi
    as_root apt-get -q update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${packages[@]}"
  ) >&2 </dev/null || die "apt-get could not install ${packages[*]}"
}

# Prints the path of the binary under test: PYREDIS_BIN, or the build of a cargo profile, brought up to date
# first: binary_under_test [PROFILE]
binary_under_test() {
  local binary=${PYREDIS_BIN:-} profile=${1:-release}
  if [[ -z $binary ]]; then
    command -v cargo >/dev/null 2>&1 || die "cargo is missing: install Rust, or name a server binary in PYREDIS_BIN"
    note "building the $profile binary"
    (cd "$root" && cargo build --profile "$profile" --locked --quiet --bin pyredis >&2) ||
      die "cargo build --profile $profile failed"
    binary=$(cd "$root" && realpath "${CARGO_TARGET_DIR:-target}")/$profile/pyredis
  fi
  [[ -f $binary && -x $binary ]] || die "not an executable file: $binary"
  realpath --no-symlinks "$binary"
}

# Dies unless the reference on this machine is the Redis we compare with.
require_reference() {
  local version
  version=$(/usr/bin/redis-server --version 2>/dev/null) || die "/usr/bin/redis-server does not run"
  [[ $version == *"v=7.0.15 "* ]] || die "the reference must be redis-server 7.0.15, found: $version"
}
