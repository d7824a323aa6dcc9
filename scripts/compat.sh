#!/usr/bin/env bash
# Runs Redis 7.0.15's own Tcl test suite against pyredis and compares with the real redis-server.
#
# Usage: scripts/compat.sh spawn|external [options] [unit/type/string integration/rdb ...]
#        scripts/compat.sh reference spawn|external [options] [FILE ...]
#        scripts/compat.sh --ci [options]
#
#   spawn      the suite starts our binary itself, as src/redis-server (the complete test)
#   external   every file runs against a server started for it, without the slow tests
#   reference  runs the files on the real redis-server only and keeps what passes
#
#   --ci       spawn --retry --verbose with the files of scripts/compat/ci.txt: the part that fits
#              a few minutes on two cores
#
#   --jobs N      files run at a time (default 2)
#   --timeout S   a file ends after S seconds without progress, or 4*S in all (default 180)
#   --verbose     name every failing and every not-run test after the table
#   --listed      run the tests of the two lists too, and name those that pass
#   --retry       run a file in which a test failed once more; a test fails only if it fails twice
#   --fresh       measure the reference of these files again
#
# FILE is a test file as the suite names it, or a quoted pattern ('integration/convert-*');
# without one, all files of the suite's own list run, except those that wait as a whole.
#
# A test counts when it passes on the real redis-server (measured on first use and kept beside
# the suite). scripts/compat/skip.tsv lists the tests we decided not to pass,
# scripts/compat/waits.tsv those that wait for something not built yet; neither is run.
# Ends with 1 when any other reference test failed or did not run, with 2 on a mistake, and with 3
# when nothing could be compared: Redis's suite, its server or a package cannot be had here.
#
# The binary is the release build of this repository, brought up to date first; PYREDIS_BIN
# names another. The suite comes from Debian's source package, into a folder under
# ${TMPDIR:-/tmp} (PYREDIS_COMPAT_CACHE names another); it is never part of this repository.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

cache=${PYREDIS_COMPAT_CACHE:-${TMPDIR:-/tmp}/pyredis-compat}

# The exit status when there is nothing to compare with.
readonly nothing_to_compare=3

# Ends the script because a comparison cannot be made here, whatever pyredis does.
cannot_compare() {
  note "NOTHING WAS COMPARED: $*"
  exit "$nothing_to_compare"
}

# Prints the files that continuous integration runs.
ci_files() {
  sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/scripts/compat/ci.txt"
}

# Fetches Debian's source package of redis by a private sources list: the system's own is not
# touched, and no root rights are needed.
fetch_suite() {
  [[ -f $cache/suite/tests/test_helper.tcl ]] && return 0
  note "fetching the test suite (Debian source package redis 7.0.15)"
  local work
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  mkdir -p "$work/lists/partial"
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  printf 'deb-src [signed-by=%s] http://deb.debian.org/%s main\n' \
    "$keyring" "debian bookworm" "$keyring" "debian-security bookworm-security" >"$work/sources.list"
  local apt=(apt-get -q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$work/lists" -o APT::Sandbox::User= -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache=)
  (
    cd "$work" &&
      "${apt[@]}" update &&
      "${apt[@]}" --download-only source redis &&
      dpkg-source --extract redis_7.0.15-*.dsc source
  ) >"$work.log" 2>&1 </dev/null || cannot_compare "the source package could not be fetched: see $work.log"
  rm -rf "$cache/suite"
  mkdir "$cache/suite"
  # Only what the suite runs from; the sources of the server stay behind.
  mv "$work"/source/{tests,runtest,redis.conf,sentinel.conf} "$cache/suite/"
  rm -rf "$work" "$work.log"
}

main() {
  local argument
  for argument in "$@"; do
    case $argument in -h | --help) print_head_comment "${BASH_SOURCE[0]}" && exit 0 ;; esac
  done
  if [[ ${1:-} == --ci ]]; then
    shift
    local files
    mapfile -t files < <(ci_files)
    set -- spawn --retry --verbose "$@" "${files[@]}"
  fi
  case ${1:-} in
    spawn | external | reference) ;;
    "") usage_error "spawn, external, reference or --ci?" ;;
    *) usage_error "unknown mode '$1': spawn, external, reference or --ci" ;;
  esac
  # In shells of their own: what they end with one line is a comparison that cannot be made.
  (install_missing redis-server=redis-server redis-cli=redis-tools redis-benchmark=redis-tools \
    tclsh=tcl dpkg-source=dpkg-dev pgrep=procps python3=python3) || cannot_compare "a package is missing"
  (require_reference) || cannot_compare "there is no reference"
  mkdir -p "$cache"
  exec {lock}>"$cache/fetch.lock"
  flock "$lock"
  fetch_suite
  exec {lock}>&-
  local suite=(python3 -B "$root/scripts/compat/suite.py" --cache "$cache")
  # Without a binary it only checks the arguments and the lists: mistakes come before a long build.
  "${suite[@]}" "$@"
  local binary=/usr/bin/redis-server
  [[ $1 == reference ]] || binary=$(binary_under_test)
  exec "${suite[@]}" --binary "$binary" "$@"
}

main "$@"
