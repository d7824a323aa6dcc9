"""What other clients feel: idle connections by the thousand, and the operations that must not stop the world."""

import multiprocessing
import resource
import time

import streams
from servers import REFERENCE, Client, Failure, Server, batches, encode, percentile, variadic, verdict
from memory import key16, value16

IDLE_TARGET_KB = 24
PROBE_TARGET_MS = 5.0


# ── idle connections ─────────────────────────────────────────────────────────────────────────────

def idle_row(name, binary, count):
    """KiB per connection, threads, and the latency of a client beside them, of one server."""
    with Server(name, binary, "--maxclients", str(count + 100)) as server:
        rss, dirty = server.settled_rss(), server.rollup("Private_Dirty")
        idle = []
        try:
            for _ in range(count):
                idle.append(server.client())
                idle[-1].call("PING")  # An idle client is one that has been served.
            grown = (server.settled_rss() - rss) / count
            dirtied = (server.rollup("Private_Dirty") - dirty) / count
            threads = server.status("Threads")
            with server.client() as client:
                delays = [timed_ping(client, 0.002) for _ in range(2000)]
        finally:
            for client in idle:
                client.__exit__()
    return grown, dirtied, threads, max(delays), percentile(delays, 0.99)


def used_row(name, binary, count):
    """KiB per connection, a second after all had sent something at once: a PING each, then a pipeline each."""
    pipeline = encode("PING") * 50
    with Server(name, binary, "--maxclients", str(count + 100)) as server:
        rss, clients, grown = server.settled_rss(), [], []
        try:
            clients.extend(server.client() for _ in range(count))
            for request, lines in ((encode("PING"), 1), (pipeline, 50)):
                for client in clients:
                    client.socket.sendall(request)
                for client in clients:
                    for _ in range(lines):
                        client.read()
                time.sleep(1)
                grown.append((server.status("VmRSS") - rss) / count)
        finally:
            for client in clients:
                client.__exit__()
    return grown


def timed_ping(client, gap):
    time.sleep(gap)
    started = time.perf_counter()
    client.call("PING")
    return (time.perf_counter() - started) * 1000


def run_idle(binary, options):
    count = 1000 if options.quick else 10_000
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed < count + 200:
        raise Failure(f"{count} connections need as many file descriptors: the limit is {allowed} (ulimit -n)")
    print(f"idle: {count} connections, each served once; PING every 2 ms from another client")
    print(f"{'server':<10} {'KiB each (VmRSS)':>17} {'KiB each (dirty)':>17} {'threads':>8} {'max ms':>8} {'p99 ms':>8}")
    for name, program in (("redis", REFERENCE), ("pyredis", binary)):
        grown, dirtied, threads, worst, p99 = idle_row(name, program, count)
        print(f"{name:<10} {grown:>17.2f} {dirtied:>17.2f} {threads:>8} {worst:>8.2f} {p99:>8.2f}", flush=True)
    print(f"targets: <= {IDLE_TARGET_KB} KiB each {verdict(grown <= IDLE_TARGET_KB)}; "
          f"PING under {PROBE_TARGET_MS:g} ms {verdict(worst < PROBE_TARGET_MS)}")
    print(f"used: {count} connections, a second after all of them sent something at once")
    print(f"{'server':<10} {'KiB each, a PING':>17} {'a pipeline of 50':>17}")
    for name, program in (("redis", REFERENCE), ("pyredis", binary)):
        pinged, piped = used_row(name, program, count)
        print(f"{name:<10} {pinged:>17.2f} {piped:>17.2f}", flush=True)
    print(f"target: <= {IDLE_TARGET_KB} KiB each after both {verdict(max(pinged, piped) <= IDLE_TARGET_KB)}")


# ── the probe ────────────────────────────────────────────────────────────────────────────────────

class Probe:
    """A client in a process of its own, asking PING and GET in turn while the block runs."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.near, far = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=ask_until_told, args=(self.server.port, far), daemon=True)
        self.process.start()
        self.near.recv()  # It is connected.
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        else:
            self.near.send("stop")
            self.delays = self.near.recv()
        self.process.join()

    @property
    def worst(self):
        return max(self.delays)

    @property
    def p99(self):
        return percentile(self.delays, 0.99)


def ask_until_told(port, pipe):
    with Client(port) as client:
        questions = [encode("PING"), encode("GET", "probe")]
        delays = []
        pipe.send("ready")
        while not pipe.poll():
            question = questions[len(delays) % 2]
            started = time.perf_counter()
            client.socket.sendall(question)
            client.read()
            delays.append((time.perf_counter() - started) * 1000)
            time.sleep(0.0005)
        pipe.send(delays)


def load_strings(server, count, *suffix):
    with server.client() as client:
        client.load(batches((encode("SET", key16(i), value16(i), *suffix) for i in range(count)), 50))


def timed(server, *words):
    """Sends one command between two quiet moments; returns how long it took, in ms."""
    time.sleep(0.5)
    with server.client() as client:
        started = time.perf_counter()
        client.call(*words)
        taken = (time.perf_counter() - started) * 1000
    time.sleep(0.5)
    return f"{words[0]} {taken:.1f} ms"


def nothing(server, scale):
    with Probe(server) as probe:
        time.sleep(2)
    return probe, ""


def grow(server, scale):
    with Probe(server) as probe:
        started = time.monotonic()
        load_strings(server, 10_000_000 // scale)
        taken = time.monotonic() - started
    return probe, f"loaded in {taken:.1f} s"


def expire(server, scale):
    count = 1_000_000 // scale
    due = int(time.time()) + 3 + 30 // scale
    load_strings(server, count, "PXAT", due * 1000)
    if time.time() > due - 1:
        raise Failure("the keys were due before they were loaded: the machine is too slow for this measurement")
    with Probe(server) as probe, server.client() as client:
        time.sleep(due - time.time())
        while (left := client.call("DBSIZE")) and time.time() < due + 60:
            time.sleep(0.02)
        taken = time.time() - due
        time.sleep(0.5)
    return probe, f"gone {taken:.1f} s after they were due" if not left else f"{left} keys still there after 60 s"


def delete_hash(server, scale):
    fields = ([key16(i), value16(i)] for i in range(1_000_000 // scale))
    with server.client() as client:
        client.load(batches(variadic(["HSET", "hash"], fields, 500), 4))
    with Probe(server) as probe:
        said = timed(server, "DEL", "hash")
    return probe, said


def shorten_stream(*words):
    """A stream of 5 M entries meets a command that takes most of them away."""
    def event(server, scale):
        streams.fill(server, 5_000_000 // scale)
        with Probe(server) as probe:
            said = timed(server, *words)
        return probe, said
    return event


def flush(server, scale):
    load_strings(server, 5_000_000 // scale)
    with Probe(server) as probe:
        said = timed(server, "FLUSHALL")
    return probe, said


EVENTS = [
    ("nothing", nothing),
    ("growing to 10 M keys", grow),
    ("1 M keys due in one second", expire),
    ("DEL of a hash of 1 M fields", delete_hash),
    ("FLUSHALL of 5 M keys", flush),
    ("DEL of a stream of 5 M", shorten_stream("DEL", streams.STREAM)),
    ("UNLINK of a stream of 5 M", shorten_stream("UNLINK", streams.STREAM)),
    ("XTRIM of that stream to 1000", shorten_stream("XTRIM", streams.STREAM, "MAXLEN", "1000")),
]


def run_probe(binary, options, wanted):
    scale = 10 if options.quick else 1
    chosen = [event for event in EVENTS if wanted(event[0])]
    if not chosen:
        raise Failure(f"no event matches '{options.only}': " + ", ".join(name for name, _ in EVENTS))
    print("probe: a client asks PING and GET in turn, every 0.5 ms" + (", a tenth of the data" if scale > 1 else ""))
    print(f"{'meanwhile':<28} {'server':<8} {'max ms':>8} {'p99 ms':>8} {'asked':>7}")
    for name, event in chosen:
        for who, program in (("redis", REFERENCE), ("pyredis", binary)):
            try:
                with Server(who, program) as server:
                    probe, said = event(server, scale)
            except Failure as failure:
                print(f"{name:<28} {who:<8} {failure}", flush=True)
                continue
            judged = f"(target < {PROBE_TARGET_MS:g} ms: {verdict(probe.worst < PROBE_TARGET_MS)})" if who == "pyredis" else ""
            print(f"{name:<28} {who:<8} {probe.worst:>8.2f} {probe.p99:>8.2f} {len(probe.delays):>7}  {said} {judged}".rstrip(),
                  flush=True)
