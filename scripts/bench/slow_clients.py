"""What slow clients cost others: a subscriber that reads too slowly and a client that never reads, under load."""

import multiprocessing
import socket
import threading
import time

from latency import Probe
from servers import REFERENCE, Failure, Server, encode, verdict

# What may wait for one client, bytes; the same for both classes so that both are cut in a short run.
LIMIT = 16 << 20
MESSAGE = b"m" * 1024
BIG = b"b" * 65536


def publish(server, end):
    """A publisher: pipelines of messages until it is time."""
    batch = encode("PUBLISH", "news", MESSAGE) * 50
    with server.client() as client:
        while time.monotonic() < end:
            client.socket.sendall(batch)
            for _ in range(50):
                client.read()


def read_slowly(server, end):
    """A subscriber that takes 64 KiB a second, far less than is published."""
    with server.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.call("SUBSCRIBE", "news")
        while time.monotonic() < end:
            try:
                if not client.socket.recv(4096):
                    break
            except OSError:
                break
            time.sleep(1 / 16)


def subscriber_state(server):
    """Whether the server still has a subscriber: what the kernel holds for one that was cut can be read for long."""
    with server.client() as client:
        return "stays" if b" sub=1 " in client.call("CLIENT", "LIST") else "cut"


def never_read(server, end, told):
    """A client that asks for much and reads nothing."""
    with server.client() as client:
        client.socket.settimeout(0.2)
        while time.monotonic() < end:
            try:
                client.socket.sendall(encode("GET", "big"))
            except TimeoutError:
                continue
            except OSError:
                told["never reads"] = "cut"
                return
            time.sleep(0.001)
        told["never reads"] = "stays"


def measure(name, binary, seconds, slow):
    """The probe's delays, the growth of the server's memory in MiB, and what became of the slow ones."""
    limit = f"normal {LIMIT} 0 0 pubsub {LIMIT} 0 0"
    with Server(name, binary, "--client-output-buffer-limit", *limit.split()) as server:
        with server.client() as client:
            client.call("SET", "big", BIG)
        before, told = server.settled_rss(), {}
        end = time.monotonic() + seconds
        # A process of its own: as a thread it would keep the interpreter from the probe, and the more so the
        # faster it is answered.
        work = [multiprocessing.get_context("fork").Process(target=publish, args=(server, end))]
        if slow:
            work += [threading.Thread(target=read_slowly, args=(server, end)),
                     threading.Thread(target=never_read, args=(server, end, told))]
        peak = before
        with Probe(server) as probe:
            for thread in work:
                thread.start()
            while time.monotonic() < end:
                peak = max(peak, server.status("VmRSS"))
                if slow:
                    told["subscriber"] = subscriber_state(server)
                time.sleep(0.02)
        for thread in work:
            thread.join()
    if slow and len(told) < 2:
        raise Failure("the slow clients did not connect")
    return probe, (peak - before) / 1024, ", ".join(f"{who} {what}" for who, what in sorted(told.items()))


def run(binary, options):
    seconds = 3 if options.quick else 10
    print(f"slow clients: {seconds} s of PUBLISH in pipelines of 50, 1 KiB each; a client asks PING and GET in turn;")
    print(f"a subscriber reads 64 KiB/s, another client asks for 64 KiB 1000 times a second and never reads; "
          f"limit {LIMIT >> 20} MiB each")
    print(f"{'slow clients':<14} {'server':<8} {'p99 ms':>8} {'max ms':>8} {'asked':>7} {'MiB more':>9}")
    for name, program in (("redis", REFERENCE), ("pyredis", binary)):
        grown = {}
        for label, slow in (("without", False), ("with", True)):
            probe, grown[label], said = measure(name, program, seconds, slow)
            print(f"{label:<14} {name:<8} {probe.p99:>8.2f} {probe.worst:>8.2f} {len(probe.delays):>7} {grown[label]:>9.1f}  "
                  f"{said}".rstrip(), flush=True)
        if name == "pyredis":
            # Each may hold its limit; a copy of the last message or answer may be on its way besides.
            bound = 2 * LIMIT / (1 << 20) + 8
            print(f"memory bounded by the limits (under {bound:g} MiB more than without): "
                  f"{verdict(grown['with'] - grown['without'] < bound)}")
