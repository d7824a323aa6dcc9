"""What every measurement needs: a server of our own on a free port, a small client, and what /proc says."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

REFERENCE = "/usr/bin/redis-server"
TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A measurement that cannot go on; its text is the whole message."""


class Client:
    """One connection: requests out, replies in. Knows just enough RESP2 for measuring."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming = self.socket.makefile("rb", 1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.incoming.close()
        self.socket.close()

    def call(self, *words):
        self.socket.sendall(encode(*words))
        return self.read()

    def read(self):
        line = self.incoming.readline()
        if not line.endswith(b"\r\n"):
            raise Failure("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Failure(f"the server answered: {rest.decode()}")
        if kind == b"$" and rest != b"-1":
            return self.incoming.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def load(self, batches):
        """Sends batches of (bytes, number of requests) while another thread reads the replies."""
        sent = threading.Semaphore(0)
        window = threading.Semaphore(64)  # Batches on their way: replies never pile up.
        counts, failures = [], []

        def read_replies():
            while sent.acquire() and (count := counts.pop(0)):
                try:
                    for _ in range(0 if failures else count):
                        self.read()
                except Exception as failure:
                    failures.append(failure)
                window.release()

        reader = threading.Thread(target=read_replies)
        reader.start()
        try:
            for data, count in batches:
                window.acquire()
                if failures:
                    break
                counts.append(count)
                self.socket.sendall(data)
                sent.release()
        finally:
            counts.append(0)
            sent.release()
            reader.join()
        if failures:
            raise failures[0]


def encode(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


def batches(requests, size=1000):
    """Joins encoded requests into batches for Client.load."""
    pending = []
    for request in requests:
        pending.append(request)
        if len(pending) == size:
            yield b"".join(pending), size
            pending.clear()
    if pending:
        yield b"".join(pending), len(pending)


def variadic(head, items, per_request):
    """Encodes the items (each a list of words) as requests `head item item ...`."""
    words, held = list(head), 0
    for item in items:
        words += item
        held += 1
        if held == per_request:
            yield encode(*words)
            words, held = list(head), 0
    if held:
        yield encode(*words)


class Server:
    """A server started by us, on loopback, without persistence, in a temporary folder; ended by its pid."""

    def __init__(self, name, binary, *arguments, folder=None):
        self.name = name
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pyredis-bench-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [str(binary), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                   "--dir", str(self.folder), *arguments]
        self.log = self.folder / "log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True)
        self.pid = self.process.pid
        self.wait_until_it_answers()

    def wait_until_it_answers(self):
        deadline = time.monotonic() + 120
        while True:
            try:
                with Client(self.port) as client:
                    client.call("PING")
                    return
            except (OSError, Failure):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    said = self.log.read_text(errors="replace").strip().splitlines()[-5:]
                    self.stop()
                    raise Failure(f"{self.name} did not start:\n" + "\n".join(said)) from None
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, keep_folder=False):
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if not keep_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def client(self):
        return Client(self.port)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def status(self, field):
        """A number of /proc/PID/status: VmRSS in KiB, Threads."""
        return number_after(f"/proc/{self.pid}/status", field)

    def rollup(self, field):
        """A sum over all mappings, in KiB."""
        return number_after(f"/proc/{self.pid}/smaps_rollup", field)

    def settled_rss(self):
        """VmRSS in KiB once it has stopped changing: freeing may go on behind the last reply."""
        last = self.status("VmRSS")
        for _ in range(50):
            time.sleep(0.2)
            now = self.status("VmRSS")
            if abs(now - last) < 64:
                return now
            last = now
        return last


def number_after(path, field):
    for line in Path(path).read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise Failure(f"no {field} in {path}")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def verdict(met):
    return "ok" if met else "MISSED"
