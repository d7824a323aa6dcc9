"""What every Python program here needs: where the server is, and how a program ends."""

import os
import subprocess
import sys
import threading
import time
import traceback

PORT = int(os.environ["REDIS_PORT"])
URL = f"redis://127.0.0.1:{PORT}/0"


def run(program):
    """Runs the program; the sentence it returns is what was done. The process ends at once: libraries leave
    threads and worker processes behind."""
    status = 0
    try:
        said = program()
    except Exception as error:
        traceback.print_exc()
        said, status = " ".join(f"{type(error).__name__}: {error}".split()), 1
    print(said, flush=True)
    os._exit(status)


def check(condition, what):
    """An assertion that says what it has found."""
    if not condition:
        raise AssertionError(what)


def equal(found, expected, what):
    check(found == expected, f"{what}: expected {expected!r}, found {found!r}")


def raises(kind, function, *arguments, **named):
    """The error that the call must raise."""
    try:
        result = function(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError(f"expected {kind}, but the call returned {result!r}")


def until(holds, seconds, what):
    """Waits for something that the server or a worker will do, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        result = holds()
        if result:
            return result
        check(time.monotonic() < deadline, f"not within {seconds} s: {what}")
        time.sleep(0.02)


def in_threads(count, work):
    """Runs `work` in so many threads at a time; their first error is ours."""
    errors = []

    def guarded():
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def start(*arguments):
    """A worker process; the runner ends it with us, should we not. What it says goes where our errors go."""
    return subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=sys.stderr)
