"""Runs the programs of this folder, each against a server of its own, and prints a table.

Called by scripts/clients.sh, which has installed the libraries and knows the binary. A program gets the
port in REDIS_PORT; it ends with 0, and its last line on stdout says what was done, or with anything else,
and its last line is the error.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))
from servers import Client, Failure, Server  # noqa: E402

# Name, the libraries whose versions are shown, and the time limit in seconds.
PROGRAMS = [
    ("redis-py", ["redis"], 60),
    ("redlock", ["redlock", "ioredis"], 60),
    ("rate-limiter-flexible", ["rate-limiter-flexible", "ioredis", "redis"], 60),
    ("bull", ["bull"], 90),
    ("bullmq", ["bullmq", "ioredis"], 90),
    ("bee-queue", ["bee-queue"], 60),
    ("rq", ["rq", "redis"], 60),
    ("celery", ["celery", "kombu", "redis"], 90),
    ("django-redis", ["django-redis", "Django", "redis"], 60),
    ("flask-limiter", ["Flask-Limiter", "limits", "redis"], 60),
    ("socket.io", ["@socket.io/redis-adapter", "@socket.io/redis-streams-adapter", "socket.io", "ioredis", "redis"], 60),
]
END_OF_OUTPUT = 15  # The last lines of a failed program are enough, nearly always.


class Program:
    """One program: how it is run, and how it has ended."""

    def __init__(self, name, libraries, limit):
        self.name, self.libraries, self.limit = name, libraries, limit
        stem = re.sub(r"\W", "_", name)
        self.path = next(HERE.glob(f"with_{stem}.*"))
        self.error, self.said, self.done, self.seconds = None, "", "", 0.0

    def versions(self):
        known = python_versions() if self.path.suffix == ".py" else node_versions()
        return ", ".join(f"{library} {known[library]}" for library in self.libraries)

    def command(self):
        return [sys.executable, "-B", str(self.path)] if self.path.suffix == ".py" else ["node", str(self.path)]

    def run(self, options):
        folder = Path(tempfile.mkdtemp(prefix="pyredis-clients-"))
        started = time.monotonic()
        try:
            with Server(self.name, options.binary, folder=folder) as server, Monitor(server, options.monitor, self.name):
                self.run_beside(server, options, folder)
        except Failure as failure:
            self.error = str(failure)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.seconds = time.monotonic() - started

    def run_beside(self, server, options, folder):
        environment = dict(os.environ, REDIS_PORT=str(server.port), NODE_PATH=options.node,
                           PYTHONPATH=f"{options.python}:{HERE}", PYTHONDONTWRITEBYTECODE="1", HOME=str(folder))
        with (folder / "program.out").open("w+b") as out, (folder / "program.err").open("w+b") as err:
            process = subprocess.Popen(self.command(), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=err, start_new_session=True)
            status = self.wait(process)
            text = read_from_start(out)
            self.said = read_from_start(err) + text
        last = (text.strip().splitlines() or [""])[-1]
        if status != 0:
            self.error = self.error or last or f"it ended with {status} and said nothing"
            return
        self.done = last
        if server.process.poll() is not None:
            self.error = f"the server has ended with {server.process.returncode}"

    def wait(self, process):
        """The exit status; all of its session is gone afterwards: workers may have groups of their own."""
        try:
            return process.wait(self.limit)
        except subprocess.TimeoutExpired:
            self.error = f"not done after {self.limit} s"
            return None
        finally:
            while alive := members(process.pid):
                for pid in alive:
                    end(pid)
                process.poll()
                time.sleep(0.01)


class Monitor:
    """Writes what MONITOR shows of a server into a file, if somebody asked for it."""

    def __init__(self, server, folder, name):
        self.client = None
        if folder:
            self.out = (Path(folder) / f"{name}.monitor").open("wb")
            self.client = Client(server.port)
            self.client.call("MONITOR")
            self.client.socket.settimeout(None)
            self.reader = threading.Thread(target=self.read)

    def read(self):
        try:
            for line in self.client.incoming:
                self.out.write(line)
        except OSError:
            pass  # The server has reset the connection: it is stopped.

    def __enter__(self):
        if self.client:
            self.reader.start()

    def __exit__(self, *_):
        if self.client:
            self.client.socket.shutdown(2)
            self.reader.join()
            self.client.__exit__()
            self.out.close()


def members(session):
    """The processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It has just ended.
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def end(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def read_from_start(file):
    file.seek(0)
    return file.read().decode(errors="replace")


def python_versions():
    lines = (HERE / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def node_versions():
    return json.loads((HERE / "package.json").read_text())["dependencies"]


def read_arguments():
    parser = argparse.ArgumentParser(prog="clients.sh", add_help=False, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME")
    for flag in ("--list", "--reference", "--verbose"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--monitor", metavar="DIR")
    for option in ("--binary", "--python", "--node"):  # Those of clients.sh itself.
        parser.add_argument(option, help=argparse.SUPPRESS)
    options = parser.parse_args()
    known = [name for name, _, _ in PROGRAMS]
    for name in options.names:
        if name not in known:
            parser.error(f"there is no program '{name}': {', '.join(known)}")
    if options.monitor and not Path(options.monitor).is_dir():
        parser.error(f"--monitor: no such folder: {options.monitor}")
    options.programs = [Program(*row) for row in PROGRAMS if not options.names or row[0] in options.names]
    return options


def main():
    options = read_arguments()
    if options.list:
        for program in options.programs:
            print(f"{program.name:<22} {program.versions()}")
    if not options.binary:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that servers and programs are ended.
    for program in options.programs:
        program.run(options)
        verdict = "FAILED" if program.error else "passed"
        print(f"{program.name:<22} {verdict}  {program.seconds:5.1f} s  {program.error or program.done}")
        print(f"{'':<22} {program.versions()}", flush=True)
    failed = [program for program in options.programs if program.error]
    for program in failed:
        lines = program.said.splitlines()
        print(f"\n== {program.name}", *(lines if options.verbose else lines[-END_OF_OUTPUT:]), sep="\n")
    print(f"\n{len(options.programs) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
