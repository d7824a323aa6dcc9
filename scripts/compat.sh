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
#   --ci       spawn --retry --verbose --timeout 60 --limit 720 with the files of scripts/compat/ci.txt:
#              the part that fits a few minutes on two cores; by default with the build of the profile `quick`
#
#   --jobs N      files run at a time (default 2)
#   --timeout S   a file ends after S seconds without progress, or 4*S in all (default 180)
#   --limit S     the whole run ends after S seconds; files that have not ended then are failures
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
# Ends with 1 when any other reference test failed or did not run, or the server does not start; with 2
# on a mistake; and with 3 when nothing could be compared: Redis's suite, its server or a package cannot
# be had here.
#
# The binary is the release build of this repository (that of the profile `quick` with --ci), brought up
# to date first; PYREDIS_BIN names another. The suite comes from Debian's source package, into a folder under
# ${TMPDIR:-/tmp} (PYREDIS_COMPAT_CACHE names another); it is never part of this repository.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

cache=${PYREDIS_COMPAT_CACHE:-${TMPDIR:-/tmp}/pyredis-compat}

# The exit status when there is nothing to compare with.
readonly nothing_to_compare=3

# How long --ci runs, and one of its files without progress; how long the suite may take to arrive. Seconds.
readonly ci_seconds=720 ci_file_seconds=60 fetch_seconds=300

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
      timeout "$fetch_seconds" "${apt[@]}" update &&
      timeout "$fetch_seconds" "${apt[@]}" --download-only source redis
  ) >"$work.log" 2>&1 </dev/null || cannot_compare "the source package could not be fetched: see $work.log"
  # What has arrived and is not what we expect is a fault of ours, and no missing network.
  (cd "$work" && dpkg-source --extract redis_7.0.15-*.dsc source) >>"$work.log" 2>&1 </dev/null ||
    die "the source package has arrived, and is not that of redis 7.0.15: see $work.log"
  rm -rf "$cache/suite"
  mkdir "$cache/suite"
  # Only what the suite runs from; the sources of the server stay behind.
  mv "$work"/source/{tests,runtest,redis.conf,sentinel.conf} "$cache/suite/"
  rm -rf "$work" "$work.log"
}

main() {
  local argument profile=release
  for argument in "$@"; do
    case $argument in -h | --help) print_head_comment "${BASH_SOURCE[0]}" && exit 0 ;; esac
  done
  if [[ ${1:-} == --ci ]]; then
    shift
    local files
    mapfile -t files < <(ci_files)
    set -- spawn --retry --verbose --timeout "$ci_file_seconds" --limit "$ci_seconds" "$@" "${files[@]}"
    profile=quick
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
  flock -w $((2 * fetch_seconds)) "$lock" || die "somebody else has been fetching the suite for too long: $cache/fetch.lock"
  fetch_suite
  exec {lock}>&-
  local suite=(python3 -B "$root/scripts/compat/suite.py" --cache "$cache")
  # Without a binary it only checks the arguments and the lists: mistakes come before a long build.
  "${suite[@]}" "$@"
  local binary=/usr/bin/redis-server
  [[ $1 == reference ]] || binary=$(binary_under_test "$profile")
  exec "${suite[@]}" --binary "$binary" "$@"
}

main "$@"
