#!/usr/bin/env bash
# Runs real client libraries, most of which live from Lua scripts, against pyredis.
#
# Usage: scripts/clients.sh [options] [NAME ...]
#
#   NAME           runs only these programs; --list names them
#   --list         the programs, their libraries and their versions; nothing is run
#   --reference    runs them against the real redis-server 7.0.15, which must pass all of them
#   --monitor DIR  writes what MONITOR shows while a program runs to DIR/NAME.monitor
#   --verbose      prints what a program that failed has said in full, and not only its end
#
# Each program (scripts/clients/with_*) gets a server of its own on a free port of the loopback
# interface, in a temporary folder, without persistence, and a time limit; when it ends, everything that
# it started is ended too. The table shows the library, its version, what was done or the error.
# All programs take about a minute. Ends with 1 when one failed, with 2 on a mistake, and with 3 when
# nothing could be run: a library, redis-server or a package cannot be had here.
#
# The libraries come from PyPI and npm in the versions of scripts/clients/requirements.txt and
# scripts/clients/package.json, into a folder under ${TMPDIR:-/tmp} (PYREDIS_CLIENTS_CACHE names
# another), once for each set of versions. They need Node 20 and Python 3.10 or later.
#
# The binary is the release build of this repository, brought up to date first; PYREDIS_BIN names
# another.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

clients=$root/scripts/clients
cache=${PYREDIS_CLIENTS_CACHE:-${TMPDIR:-/tmp}/pyredis-clients}

# How long one package manager may take, in seconds.
readonly install_seconds=300

# The exit status when nothing can be run here, whatever pyredis does.
readonly nothing_to_run=3

cannot_run() {
  note "NOTHING WAS RUN: $*"
  exit "$nothing_to_run"
}

require_versions() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    cannot_run "Python 3.10 or later is needed: $(python3 --version)"
  node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' ||
    cannot_run "Node 20 or later is needed: $(node --version)"
}

install_packages() {
  install_missing node=nodejs npm=npm flock=util-linux
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_missing "python3 -m venv=python3-venv"
}

# The folder of one set of versions: it changes whenever one of its files does: folder_of NAME FILE
folder_of() {
  printf '%s/%s-%s\n' "$cache" "$1" "$(sha256sum "$2" | cut -c 1-12)"
}

# Fills the folder $1 by the function $2, once: what is half done never gets its final name.
install_once() {
  local folder=$1 fill=$2 work log=$1.log
  [[ -d $folder ]] && return 0
  note "installing into $folder"
  work=$folder.new
  rm -rf "$work"
  mkdir -p "$work"
  "$fill" "$work" >"$log" 2>&1 </dev/null || cannot_run "the libraries could not be installed: see $log"
  mv "$work" "$folder"
  rm -f "$log"
}

# A venv would remember the name of its folder, which changes here; a plain folder of packages does not.
fill_python() {
  local venv=$1/venv
  python3 -m venv "$venv" &&
    timeout "$install_seconds" "$venv/bin/pip" install --disable-pip-version-check \
      --target "$1/packages" -r "$clients/requirements.txt" &&
    rm -rf "$venv"
}

fill_node() {
  cp "$clients/package.json" "$1/" &&
    timeout "$install_seconds" npm install --prefix "$1" --no-audit --no-fund --ignore-scripts
}

main() {
  local argument reference=no only_asks=no
  for argument in "$@"; do
    case $argument in
      -h | --help) print_head_comment "${BASH_SOURCE[0]}" && exit 0 ;;
      --reference) reference=yes ;;
      --list) only_asks=yes ;;
    esac
  done
  install_missing python3=python3
  local run=(python3 -B "$clients/run.py")
  # Without a binary it only checks the arguments: mistakes come before a long build.
  "${run[@]}" "$@"
  [[ $only_asks == no ]] || exit 0
  # In shells of their own: what they end with one line is a run that cannot be made.
  (install_packages) || cannot_run "a package is missing"
  require_versions
  local binary python node
  if [[ $reference == yes ]]; then
    (install_missing redis-server=redis-server && require_reference) || cannot_run "there is no reference"
    binary=/usr/bin/redis-server
  else
    binary=$(binary_under_test release)
  fi
  mkdir -p "$cache"
  exec {lock}>"$cache/install.lock"
  flock -w $((2 * install_seconds)) "$lock" || die "somebody else has been installing for too long: $cache/install.lock"
  python=$(folder_of python "$clients/requirements.txt")
  node=$(folder_of node "$clients/package.json")
  install_once "$python" fill_python
  install_once "$node" fill_node
  exec {lock}>&-
  exec "${run[@]}" --binary "$binary" --python "$python/packages" --node "$node/node_modules" "$@"
}

main "$@"
