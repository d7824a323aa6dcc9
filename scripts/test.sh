#!/usr/bin/env bash
# The test command: everything that must hold before a change is done.
#
# Usage: scripts/test.sh
#
# Takes five to ten minutes on two idle cores, half of it to compile; later runs compile what has changed.
# There are no options; a part runs by cargo itself, of which FILTER is a part of a test's name:
#   cargo test --lib FILTER           unit tests, as `cargo test --lib daemon::cli`
#   cargo test --test it FILTER       real processes and sockets, as `cargo test --test it daemon`
#   cargo test --test tidy            the rules of the house
#   cargo fmt --check; cargo clippy --all-targets -- -D warnings
#
# Needs a Rust toolchain; the Debian packages the tests talk to (redis-server,
# redis-tools, netcat-openbsd, procps, a C compiler) are installed when missing,
# as root or with sudo. Then, each step even if one before it failed:
#   format, lints (warnings are errors), unit and integration tests, doc tests,
#   rustdoc (warnings are errors), syntax and lints of the scripts.
#
# The last line is `N passed, N failed`; a failed step counts as one failure.
# Ends non-zero when anything failed, or when no test ran at all.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

passed=0
failed=0
failed_steps=()
tests_ran=0

# Runs one step, shows its output, and remembers whether it failed: step NAME COMMAND …
step() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  if ! "$@" 2>&1 </dev/null | tee "$log"; then
    failed_steps+=("$name")
    return 1
  fi
}

# Runs a test command and adds its results to the totals: test_step NAME COMMAND …
test_step() {
  local before=$failed
  local green=yes
  step "$@" || green=no
  read_test_results
  # A run that fails without a failing test (it did not compile, it was killed) is a failure all the same.
  if [[ $green == no && $failed -eq $before ]]; then
    failed=$((failed + 1))
  fi
}

# A check is a step without tests of its own; its failure counts as one.
check_step() {
  step "$@" || failed=$((failed + 1))
}

# Reads the summary lines of `cargo test` and `cargo nextest run` from the last step's output.
read_test_results() {
  local ok bad
  read -r ok bad < <(awk '
    /^test result:/ { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) ok += $(i-1); if ($i ~ /^failed/) bad += $(i-1) } }
    /^ *Summary \[/ { for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) ok += $(i-1)
      if ($i ~ /^failed/) bad += $(i-1)
      if ($i == "timed" || $i ~ /^exec/) bad += $(i-1) } }
    END { print ok + 0, bad + 0 }' "$log")
  passed=$((passed + ok))
  failed=$((failed + bad))
  tests_ran=$((tests_ran + ok + bad))
}

prepare() {
  command -v cargo >/dev/null 2>&1 || die "cargo is missing: install a Rust toolchain first (https://rustup.rs)"
  install_missing redis-server=redis-server redis-cli=redis-tools nc=netcat-openbsd pgrep=procps cc=gcc
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    command -v rustup >/dev/null 2>&1 || die "cargo fmt or cargo clippy is missing, and there is no rustup to add them"
    rustup component add rustfmt clippy >&2
  fi
}

check_scripts() {
  local file status=0
  local shell_files=(.ci/run scripts/*.sh scripts/lib/*.sh)
  for file in "${shell_files[@]}"; do
    bash -n "$file" || status=1
  done
  if command -v shellcheck >/dev/null 2>&1; then
    shellcheck -x "${shell_files[@]}" || status=1
  else
    echo "shellcheck is not installed: syntax checked only"
  fi
  local python_files=(scripts/*.py scripts/*/*.py)
  if command -v python3 >/dev/null 2>&1; then
    python3 -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]' "${python_files[@]}" || status=1
  fi
  return "$status"
}

main() {
  case ${1:-} in
    "") ;;
    -h | --help) print_head_comment "${BASH_SOURCE[0]}" && exit 0 ;;
    *) usage_error "unexpected argument '$1'; a part runs by cargo, as cargo test --test it daemon" ;;
  esac
  cd "$root"
  log=$(mktemp "${TMPDIR:-/tmp}/pyredis-test.XXXXXX")
  trap 'rm -f "$log"' EXIT
  prepare
  export CARGO_TERM_COLOR=never

  check_step "format" cargo fmt --check
  check_step "lints" cargo clippy --locked --all-targets -- -D warnings
  if cargo nextest --version >/dev/null 2>&1; then
    test_step "tests" cargo nextest run --locked --no-fail-fast
    test_step "doc tests" cargo test --locked --doc --no-fail-fast
  else
    test_step "tests and doc tests" cargo test --locked --no-fail-fast
  fi
  check_step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
  check_step "scripts" check_scripts

  echo
  if [[ $tests_ran -eq 0 ]]; then
    echo "No test ran."
    [[ $failed -gt 0 ]] || failed=1
  fi
  [[ ${#failed_steps[@]} -eq 0 ]] || printf 'Failed step: %s\n' "${failed_steps[@]}"
  echo "$passed passed, $failed failed"
  [[ $failed -eq 0 ]]
}

main "$@"
