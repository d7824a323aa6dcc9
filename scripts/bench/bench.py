"""Command line of the measurements; called by scripts/bench.sh, which knows the binary and says what is measured."""

import argparse
import fnmatch
import signal
import sys

import latency
import memory
import persistence
import slow_clients
import throughput
from servers import Failure


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"bench.sh: {message} (see --help)", file=sys.stderr)
        sys.exit(2)


def parse_arguments():
    parser = Parser(prog="bench.sh", add_help=False, allow_abbrev=False)
    parser.add_argument("--binary")
    for flag in ("--quick", "--throughput", "--memory", "--idle", "--probe", "--persistence", "--slow-clients"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--only")
    parser.add_argument("--keyspace", type=int, default=0)
    options = parser.parse_args()
    if options.rounds is None:
        options.rounds = 2 if options.quick else 5
    if options.seconds is None:
        options.seconds = 0.4 if options.quick else 2.0
    if options.rounds < 1 or options.seconds <= 0 or options.keyspace < 0:
        parser.error("--rounds, --seconds and --keyspace must be positive")
    if not (options.memory or options.idle or options.probe or options.persistence or options.slow_clients):
        options.throughput = True
    return options


def main():
    options = parse_arguments()

    def wanted(name):
        return not options.only or fnmatch.fnmatch(name, options.only) or fnmatch.fnmatch(name.split()[0], options.only)

    if not options.binary:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.throughput:
        throughput.run(options.binary, options, wanted)
    if options.memory:
        memory.run(options.binary, options, wanted)
    if options.idle:
        latency.run_idle(options.binary, options)
    if options.probe:
        latency.run_probe(options.binary, options, wanted)
    if options.persistence:
        persistence.run(options.binary, options, wanted)
    if options.slow_clients:
        slow_clients.run(options.binary, options)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"bench.sh: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
