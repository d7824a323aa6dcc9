#!/usr/bin/env bash
# Measures pyredis beside redis-server 7.0.15, in the same run on the same machine.
#
# Usage: scripts/bench.sh [options]            throughput, the table of workloads (about 15 minutes)
#        scripts/bench.sh --memory [options]   resident bytes per element, type by type
#        scripts/bench.sh --idle [options]     memory of 10 000 connections, idle and after use, PING latency beside them
#        scripts/bench.sh --probe [options]    worst latency a client sees while something big happens
#        scripts/bench.sh --persistence [options]   what BGSAVE and fsync cost, and how long a restart takes
#        scripts/bench.sh --slow-clients [options]  what slow clients cost: memory, and the latency of others
#
#   --quick          a short look: fewer rounds, fewer requests, smaller data; too noisy to judge by
#   --rounds N       interleaved rounds of the throughput table (default 5, quick 2)
#   --seconds S      how long redis-server needs for one measurement (default 2, quick 0.4)
#   --only PATTERN   only the rows whose name matches, as in --only 'get*' or --only '*P=16'; of
#                    --persistence: bgsave-2m, bgsave-10m, fsync-{always,everysec}-{1,50,500}, restart-rdb,
#                    restart-aof, restart-aof-set, restart-aof-base
#   --keyspace N     random keys of this many (redis-benchmark -r; default: its one key)
#
# The rows of streams begin with x (--only 'x*', of --memory and --probe they contain the word: '*stream*'): entries of three fields of 16 bytes;
# xack_10 acknowledges IDs at random, ten a request, of a stream that is all pending. One thread of
# redis-benchmark needs longer for the answer of xrange_100 than either server (52 µs of CPU time): there it has
# two, for both servers. Where they share two processors with the server, read the CPU time beside the ratio.
#
# The rows of scripts begin with script_ (EVALSHA) or function_ (FCALL): one call of GET or of INCR, and a loop of fifty.
#
# Several of --memory, --idle, --probe, --persistence, --slow-clients may be given; --throughput adds the table to them.
#
# Both servers run side by side on free ports of the loopback interface, without persistence,
# each in a temporary folder; the other one is stopped (SIGSTOP) while one is measured. The
# table shows medians over the rounds: requests/s, p99, CPU time of the server per request;
# the ratio pyredis/redis; the target. Only ratios of one run mean anything, and single cells
# are noisy: judge the geometric mean, and the CPU time beside it.
#
# The binary is the release build of this repository, brought up to date first; PYREDIS_BIN
# names another.
set -euo pipefail
# shellcheck source=scripts/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/common.sh"

main() {
  local argument
  for argument in "$@"; do
    case $argument in -h | --help) print_head_comment "${BASH_SOURCE[0]}" && exit 0 ;; esac
  done
  install_missing redis-server=redis-server redis-benchmark=redis-tools python3=python3
  require_reference
  # Ten thousand connections need as many descriptors, on both sides.
  ulimit -n "$(ulimit -Hn)"
  local bench=(python3 -B "$root/scripts/bench/bench.py")
  # Without a binary it only checks the arguments: mistakes come before a long build.
  "${bench[@]}" "$@"
  local binary
  binary=$(binary_under_test release)
  exec "${bench[@]}" --binary "$binary" "$@"
}

main "$@"
