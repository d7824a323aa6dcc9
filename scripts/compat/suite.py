"""Runs files of Redis's Tcl suite, one `./runtest` each, and compares with what passes on redis-server.

Called by scripts/compat.sh, which has fetched the suite and knows the binary. A test counts by name: a
reference test that printed neither ok nor err was not run. Every file runs in a slot: its own copy of the
suite, its own ports, a lock, so that several runs on one machine do not meet.
"""

import argparse
import collections
import concurrent.futures
import fcntl
import fnmatch
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REFERENCE_BINARY = Path("/usr/bin/redis-server")
TOOLS = ["redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb"]
SKIP_KINDS = ["fork", "demanded-crash", "module", "allocator"]
WHOLE_FILE = "*"
START_SECONDS = 30  # A server that answers no PING within this time does not start.
SLOTS = 10  # Ports 12000-21999, cluster buses 10000 above: all below the ephemeral ports.
EXTERNAL_ARGS = ["--save", "", "--enable-protected-configs", "yes", "--enable-debug-command", "yes",
                 "--enable-module-command", "yes", "--bind", "127.0.0.1"]


class Mistake(Exception):
    """Something the caller got wrong; its text is the whole message."""


class DoesNotStart(Exception):
    """The server under test does not serve; the text says how it ended, and what it said last."""


class Stopped(Exception):
    """Nothing is run any more: the time is up, or somebody has interrupted."""


# ── what one run of one file says ────────────────────────────────────────────────────────────────

class Outcome:
    """The results printed by one `./runtest`: passes and failures by test name, and how it ended."""

    def __init__(self, unit, text, seconds, ended):
        self.unit, self.seconds, self.ended = unit, seconds, ended
        self.ok = collections.Counter()
        self.err = collections.Counter()
        self.details = {}
        self.stray = []  # Failures outside any test: an exception while a block was set up.
        self.finished = False
        current = None
        for line in text.splitlines():
            if line.strip() == "The End":
                break
            passed = re.search(r"\[ok\]: (.*) \(\d+ ms\)$", line)
            failed = re.search(r"\[(err|exception)\]: (.*)$", line)
            if passed:
                self.ok[normal(unit, passed[1])] += 1
                current = None
            elif failed:
                name, found, _ = failed[2].rpartition(" in tests/")
                current = [line]
                if found:
                    self.err[normal(unit, name)] += 1
                    self.details[normal(unit, name)] = current
                else:
                    self.stray.append(current)
            elif re.match(r"\[(ready|testing|skip|ignore|\d+/\d+ done)\]: ", line):
                self.finished |= " done]: " in line
                current = None
            elif current is not None and len(current) < 25:
                current.append(line)


def normal(unit, name):
    """The psync2 files put random node numbers into their names and repeat tests for a fixed time: there a
    name counts once, without its numbers."""
    return re.sub(r"\d+", "#", name) if unit.startswith("integration/psync2") else name


# ── running ──────────────────────────────────────────────────────────────────────────────────────

class Runner:
    """Runs files in free slots and ends every process group it started."""

    def __init__(self, cache, timeout):
        self.cache, self.timeout = cache, timeout
        self.live = set()
        self.guard = threading.Lock()
        self.stopping = False

    def run(self, unit, mode, binary, skip_names, log):
        with self.slot() as (tree, base_port):
            prepare(tree, self.cache / "suite", binary)
            command = ["./runtest", "--clients", "1", "--single", unit, "--durable", "--timeout", str(self.timeout),
                       "--baseport", str(base_port + 50), "--portcount", "850"]
            if skip_names:
                (tree / "skipfile").write_text("\n".join(sorted(skip_names)) + "\n", "utf-8", "surrogateescape")
                command += ["--skipfile", "skipfile"]
            server = None
            if mode == "external":
                server = self.start_server(tree, base_port + 950, log)
                command += ["--host", "127.0.0.1", "--port", str(base_port + 950), "--tags", "-slow"]
            started = time.monotonic()
            try:
                ended = self.run_suite(command, tree, log)
            finally:
                if server:
                    self.end(server)
            if self.stopping:  # What was killed in the middle is no result.
                raise Stopped
            text = log.read_text("utf-8", "surrogateescape")
            return Outcome(unit, text, time.monotonic() - started, ended)

    def run_suite(self, command, tree, log):
        environment = dict(os.environ, TERM="dumb", LC_ALL="C.UTF-8")
        with log.open("ab") as out:
            suite = self.spawn(command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            try:
                suite.wait(4 * self.timeout)
                return "" if suite.returncode in (0, 1) else f"ended with {suite.returncode}"
            except subprocess.TimeoutExpired:
                return f"stopped after {4 * self.timeout} s"
            finally:
                self.end(suite)

    def start_server(self, tree, port, log):
        folder = tree / "external"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        server_log = log.with_suffix(".server.log")
        command = [str(tree / "src/redis-server"), "--port", str(port), "--dir", str(folder), *EXTERNAL_ARGS]
        with server_log.open("wb") as out:
            server = self.spawn(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                how = f"it answers no PING within {START_SECONDS} s" if server.returncode is None else (
                    f"it ended with {server.returncode}")
                self.end(server)
                said = server_log.read_text("utf-8", "replace").split("\n")
                raise DoesNotStart("\n".join([how, *filter(None, said[-5:])]))
            time.sleep(0.05)
        return server

    def check_start(self, binary, log):
        """Starts the server once: one that cannot is told in a line, not by every test of every file."""
        with self.slot() as (tree, base_port):
            prepare(tree, self.cache / "suite", binary)
            self.end(self.start_server(tree, base_port + 950, log))

    def spawn(self, command, **options):
        with self.guard:
            if self.stopping:
                raise Stopped
            process = subprocess.Popen(command, start_new_session=True, **options)
            self.live.add(process)
            return process

    def end(self, process):
        """Ends the process and everything it started: they share its process group."""
        with self.guard:
            self.live.discard(process)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def end_all(self):
        with self.guard:
            self.stopping = True
            left = list(self.live)
        for process in left:
            self.end(process)

    def slot(self):
        return Slot(self)


class Slot:
    """A copy of the suite and a block of ports, ours while the lock is held."""

    def __init__(self, runner):
        self.runner = runner

    def __enter__(self):
        while not self.runner.stopping:
            for number in range(SLOTS):
                folder = self.runner.cache / f"slot-{number}"
                folder.mkdir(exist_ok=True)
                self.lock = (folder / "lock").open("w")
                try:
                    fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return folder / "tree", 12000 + 1000 * number
                except BlockingIOError:
                    self.lock.close()
            time.sleep(1)
        raise Stopped

    def __exit__(self, *_):
        self.lock.close()


def prepare(tree, suite, binary):
    """Makes the slot's tree: the suite, and src/ with our binary among the real tools."""
    if not (tree / "complete").exists():
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(suite, tree)
        (tree / "complete").touch()
    shutil.rmtree(tree / "tests/tmp", ignore_errors=True)
    (tree / "tests/tmp").mkdir()
    shutil.rmtree(tree / "src", ignore_errors=True)
    (tree / "src").mkdir()
    # A copy, not a link: a build that finishes meanwhile must not change what is being tested.
    shutil.copy2(binary, tree / "src/redis-server")
    for tool in TOOLS:
        (tree / "src" / tool).symlink_to(Path("/usr/bin") / tool)
    # redis-server is a sentinel when it is called so.
    (tree / "src/redis-sentinel").symlink_to(REFERENCE_BINARY)


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


# ── the reference ────────────────────────────────────────────────────────────────────────────────

def reference(runner, unit, mode, fresh):
    """The tests of a file that pass on the real server, with how often each; measured once, then kept."""
    folder = runner.cache / "reference" / mode
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / (flat(unit) + ".tsv")
    if not fresh and kept.exists():
        rows = (row.split("\t", 1) for row in kept.read_text("utf-8", "surrogateescape").split("\n") if row)
        return collections.Counter({name: int(count) for count, name in rows})
    passes, has_finished = collections.Counter(), False
    for attempt in (1, 2):  # A busy machine fails tests that time things: what passes once, passes.
        outcome = runner.run(unit, mode, REFERENCE_BINARY, [], attempt_log(folder, unit, attempt))
        if unit.startswith("integration/psync2"):
            outcome.ok = collections.Counter(dict.fromkeys(outcome.ok, 1))
        passes |= outcome.ok
        has_finished |= outcome.finished
        if outcome.finished and not outcome.err and not outcome.stray:
            break
    if not has_finished:  # Kept, what is missing would not be compared in any later run, either.
        print(f"compat.sh: redis-server itself does not get through {unit}", file=sys.stderr)
        return passes
    text = "".join(f"{count}\t{name}\n" for name, count in passes.items())
    fragment = kept.with_suffix(f".{os.getpid()}")
    fragment.write_text(text, "utf-8", "surrogateescape")
    fragment.replace(kept)
    return passes


def attempt_log(folder, unit, attempt):
    log = folder / f"{flat(unit)}.{os.getpid()}.{attempt}.log"
    log.unlink(missing_ok=True)
    return log


def flat(unit):
    return unit.replace("/", "_")


# ── the two lists ────────────────────────────────────────────────────────────────────────────────

class Listed:
    """The tests of skip.tsv or waits.tsv: file, kind or feature, exact test name, comment."""

    def __init__(self, path, kinds=None):
        self.path, self.length = path, 0
        self.tests = collections.defaultdict(dict)
        self.exact = collections.defaultdict(list)  # The names as the suite's own --skipfile takes them.
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.split("\t")
            if len(fields) not in (3, 4) or not all(fields[:3]):
                raise Mistake(f"{path}:{number}: expected FILE<tab>KIND<tab>TEST NAME[<tab>COMMENT]")
            unit, kind, name = fields[:3]
            if kinds and kind not in kinds:
                raise Mistake(f"{path}:{number}: unknown kind '{kind}' (known: {', '.join(kinds)})")
            if kinds and len(fields) < 4:
                raise Mistake(f"{path}:{number}: a skipped test needs a comment that says why")
            if kinds and name == WHOLE_FILE:
                raise Mistake(f"{path}:{number}: only single tests can be skipped, by their exact name")
            if normal(unit, name) in self.tests[unit]:
                raise Mistake(f"{path}:{number}: listed twice: {name}")
            self.tests[unit][normal(unit, name)] = kind
            if name != WHOLE_FILE:
                self.exact[unit].append(name)
            self.length += 1

    def kind(self, unit, name):
        listed = self.tests.get(unit, {})
        return listed.get(name) or listed.get(WHOLE_FILE)


# ── comparing ────────────────────────────────────────────────────────────────────────────────────

class Comparison:
    """One file: its reference tests sorted into passed, failed, not run, skipped, waiting."""

    def __init__(self, expected, outcome, skip, waits, listed_too):
        self.unit, self.outcome = outcome.unit, outcome
        self.reference = sum(expected.values())
        self.passed = 0
        self.failed, self.not_run, self.stale, self.unsteady = [], [], [], []
        self.skipped, self.waiting = collections.Counter(), collections.Counter()
        for name, count in expected.items():
            bad = outcome.err[name]
            good = min(outcome.ok[name], max(0, count - bad))
            kind, feature = skip.kind(self.unit, name), waits.kind(self.unit, name)
            if (kind or feature) and listed_too and good == count:
                self.stale.append(name)
            if kind:
                self.skipped[kind] += count
            elif feature and good < count:
                self.waiting[feature] += count - good
                self.passed += good
            else:
                self.passed += good
                self.failed += [name] * min(bad, count - good)
                self.not_run += [name] * (count - good - min(bad, count - good))

    def bad(self):
        return {*self.failed, *self.not_run}

    def confirm(self, first):
        """Keeps of the failures only what failed in the first run of the file, too."""
        self.unsteady = sorted(self.bad() ^ first.bad())
        count = len(self.failed) + len(self.not_run)
        self.failed = [name for name in self.failed if name in first.bad()]
        self.not_run = [name for name in self.not_run if name in first.bad()]
        self.passed += count - len(self.failed) - len(self.not_run)

    def row(self):
        remark = self.outcome.ended or ("" if self.outcome.finished else "ended early")
        return (f"{self.unit:<42} {self.reference:>5} {self.passed:>5} {len(self.failed):>5} {len(self.not_run):>8}"
                f" {self.skipped.total():>8} {self.waiting.total():>6} {self.outcome.seconds:>7.1f}  {remark}").rstrip()

    def names(self):
        """The failing, not-run and stale tests by name, with what the suite said of the failing ones."""
        for name in dict.fromkeys(self.failed):
            yield f"FAIL     {self.unit}: {name}"
            yield from ("         " + line for line in reason(self.outcome.details.get(name, [])))
        yield from (f"NOT RUN  {self.unit}: {name}" for name in dict.fromkeys(self.not_run))
        yield from (f"STALE    {self.unit}: {name} (listed, but passes)" for name in self.stale)
        yield from (f"UNSTEADY {self.unit}: {name} (failed once, passed once)" for name in self.unsteady)
        if self.failed or self.not_run:
            for lines in self.outcome.stray:
                yield f"OUTSIDE  {self.unit}: an exception outside any test"
                yield from ("         " + line for line in lines[:12])


def reason(details):
    """The telling lines of a failure. The suite cuts ten characters off an error that is not an assertion
    and repeats it whole on the next line."""
    said = details[1:3]
    return said[1:] if len(said) == 2 and said[1].endswith(said[0]) else said[:1]


HEADER = (f"{'file':<42} {'ref':>5} {'ok':>5} {'err':>5} {'not run':>8} {'skipped':>8} {'waits':>6} {'seconds':>7}")


def counts(counter):
    return " (" + ", ".join(f"{kind} {n}" for kind, n in sorted(counter.items())) + ")" if counter else ""


def summary(mode, rows, skip, waits):
    total = lambda field: sum((getattr(row, field) for row in rows), collections.Counter())
    skipped, waiting = total("skipped"), total("waiting")
    failed, not_run = sum(len(row.failed) for row in rows), sum(len(row.not_run) for row in rows)
    return (f"compat {mode}: {sum(row.passed for row in rows)} of {sum(row.reference for row in rows)} reference tests "
            f"pass, {skipped.total()} skipped by list{counts(skipped)}, {waiting.total()} waiting{counts(waiting)}, "
            f"{failed} failed, {not_run} not run; lists: {skip.length} skip, {waits.length} waits"), failed + not_run


# ── command line ─────────────────────────────────────────────────────────────────────────────────

def chosen_units(suite, patterns):
    """The files to run: those asked for, in their order, or the suite's own list."""
    helper = (suite / "tests/test_helper.tcl").read_text()
    own = re.search(r"set ::all_tests \{(.*?)\}", helper, re.S)[1].split()
    known = own + sorted(str(path.relative_to(suite / "tests").with_suffix(""))
                         for folder in ("unit", "integration") for path in (suite / "tests" / folder).rglob("*.tcl"))
    chosen = []
    for pattern in patterns:
        found = fnmatch.filter(known, pattern.removeprefix("tests/").removesuffix(".tcl"))
        if not found:
            near = [unit for unit in own if pattern.split("/")[-1] in unit]
            raise Mistake(f"no test file '{pattern}'" + (f"; did you mean {', '.join(near)}?" if near else ""))
        chosen += found
    return list(dict.fromkeys(chosen)) or own, bool(patterns)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Mistake(f"{message} (see --help)")


def parse_arguments(words):
    parser = Parser(prog="compat.sh", add_help=False, allow_abbrev=False)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=int, default=180)
    parser.add_argument("--limit", type=int)
    for flag in ("--verbose", "--listed", "--fresh", "--retry"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("words", nargs="+")
    options = parser.parse_intermixed_args(words)
    options.reference_only = options.words[0] == "reference"
    rest = options.words[1:] if options.reference_only else options.words
    if not rest or rest[0] not in ("spawn", "external"):
        raise Mistake("spawn or external? (see --help)")
    options.mode, options.patterns = rest[0], rest[1:]
    if not 1 <= options.jobs <= SLOTS:
        raise Mistake(f"--jobs must be 1 to {SLOTS}")
    if options.timeout < 1:
        raise Mistake("--timeout must be at least 1")
    if options.limit is not None and options.limit < 1:
        raise Mistake("--limit must be at least 1")
    return options


def work_through(runner, units, options, task, report):
    """Runs the task over all files, some at a time, and reports each as it ends. Returns the files that have
    not ended within the limit."""
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        waiting = {pool.submit(task, unit): unit for unit in units}
        try:
            for future in concurrent.futures.as_completed(waiting, options.limit):
                report(future.result())
        except concurrent.futures.TimeoutError:
            return [unit for future, unit in waiting.items() if not future.done()]
        finally:
            for future in waiting:
                future.cancel()
            runner.end_all()  # The pool waits for what runs.
    return []


def tell_late(late, options):
    """Says which files have not ended, and returns how many."""
    if late:
        print(f"compat.sh: the limit of {options.limit} s is over, and {len(late)} files have not ended: {' '.join(late)}")
    return len(late)


def measure_reference(runner, options, units):
    total = []

    def task(unit):
        return unit, reference(runner, unit, options.mode, options.fresh)

    def report(result):
        unit, passes = result
        total.append(passes.total())
        print(f"{unit:<42} {passes.total():>5}", flush=True)

    late = work_through(runner, units, options, task, report)
    print(f"reference {options.mode}: {sum(total)} tests pass on redis-server, in {len(total)} files")
    return 1 if tell_late(late, options) else 0


def compare(runner, options, units, skip, waits):
    logs = Path(tempfile.mkdtemp(prefix=f"{options.mode}-", dir=runner.cache))
    rows = []

    def task(unit):
        expected = reference(runner, unit, options.mode, options.fresh)
        listed = [] if options.listed else skip.exact.get(unit, []) + waits.exact.get(unit, [])
        compared = measure(unit, expected, listed, "")
        if options.retry and compared.bad():
            first, compared = compared, measure(unit, expected, listed, ".again")
            compared.confirm(first)
        for name in {*skip.tests.get(unit, {}), *waits.tests.get(unit, {})} - set(expected) - {WHOLE_FILE}:
            print(f"compat.sh: listed, but no reference test of {unit} in {options.mode} mode: {name}", file=sys.stderr)
        return compared

    def measure(unit, expected, listed, suffix):
        log = logs / f"{flat(unit)}{suffix}.log"
        outcome = runner.run(unit, options.mode, options.binary, listed, log)
        return Comparison(expected, outcome, skip, waits, options.listed)

    def report(row):
        rows.append(row)
        print(row.row(), flush=True)

    runner.check_start(options.binary, logs / "start.log")
    print(HEADER, flush=True)
    late = work_through(runner, units, options, task, report)
    names = [line for row in rows for line in row.names()]
    (logs / "failures.txt").write_text("".join(line + "\n" for line in names), "utf-8", "surrogateescape")
    if options.verbose and names:
        print(*names, sep="\n")
    print(f"The suite's output is in {logs}, failing tests by name in {logs / 'failures.txt'}")
    line, wrong = summary(options.mode, rows, skip, waits)
    print(line)
    empty = [row.unit for row in rows if options.patterns and not row.reference]
    if empty:
        print(f"compat.sh: redis-server itself passes no test of {' '.join(empty)}: nothing was compared")
    wrong += len(empty) + tell_late(late, options)
    return 1 if wrong else 0


def main():
    options = parse_arguments(sys.argv[1:])
    skip, waits = Listed(HERE / "skip.tsv", SKIP_KINDS), Listed(HERE / "waits.tsv")
    units, asked_for = chosen_units(options.cache / "suite", options.patterns)
    if not asked_for and not options.listed and not options.reference_only:
        wholly = [unit for unit in units if waits.kind(unit, WHOLE_FILE)]
        units = [unit for unit in units if unit not in wholly]
        if wholly and options.binary:
            print(f"waiting as a whole, not run: {' '.join(wholly)}")
    if not options.binary:
        return 0
    runner = Runner(options.cache, options.timeout)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.reference_only:
            return measure_reference(runner, options, units)
        return compare(runner, options, units, skip, waits)
    finally:
        runner.end_all()


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="surrogateescape")
    try:
        sys.exit(main())
    except Mistake as mistake:
        print(f"compat.sh: {mistake}", file=sys.stderr)
        sys.exit(2)
    except DoesNotStart as reason:
        print(f"compat.sh: the server does not start: {reason}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # The reader has seen enough (`| head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
