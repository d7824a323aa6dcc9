"""What saving costs those who are served meanwhile, what fsync costs writers, and how long a restart takes."""

import multiprocessing
import random
import time
from pathlib import Path

from latency import Probe
from memory import key16, value16
from servers import REFERENCE, Client, Failure, Server, batches, variadic, verdict
from throughput import Workload, measure, medians

# Targets of PERFORMANCE: the probe's figures against those before the save, and the memory added at the peak.
PROBE_FACTOR = 1.5
# Below this a difference is the machine's, milliseconds.
NOISE_MS = 0.5
PEAK_PERCENT = 5
LOAD_RATIO = 0.5
# `appendfsync always` with this many clients.
ALWAYS_RATIO, ALWAYS_CLIENTS = 2.0, 50
WARM_SECONDS = 3


# ── BGSAVE under load ────────────────────────────────────────────────────────────────────────────

class Writer:
    """A client in a process of its own that overwrites random keys, one at a time, while the block runs."""

    def __init__(self, server, count):
        self.server, self.count = server, count

    def __enter__(self):
        self.near, far = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=write_until_told, args=(self.server.port, self.count, far), daemon=True)
        self.process.start()
        self.near.recv()
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        else:
            self.near.send("stop")
        self.process.join()

    def writes(self):
        """How many writes were answered so far."""
        self.near.send("count")
        return self.near.recv()


def write_until_told(port, count, pipe):
    chance = random.Random(7)
    writes = 0
    with Client(port) as client:
        pipe.send("ready")
        while True:
            if pipe.poll():
                if pipe.recv() == "stop":
                    return
                pipe.send(writes)
            client.call("SET", key16(chance.randrange(count)), value16(writes))
            writes += 1


class Memory:
    """The peak of a server's own memory, its children's included, sampled while the block runs: KiB."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        self.near, far = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=sample_until_told, args=(self.server.pid, far), daemon=True)
        self.process.start()
        return self

    def __exit__(self, *_):
        self.near.send("stop")
        self.peak = self.near.recv()
        self.process.join()


def sample_until_told(pid, pipe):
    peak = 0
    while not pipe.poll(0.05):
        peak = max(peak, family_kib(pid))
    pipe.send(peak)


def family_kib(pid):
    """Proportional shares of the process and its children: pages they share count once."""
    total = 0
    for member in [pid, *children(pid)]:
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue  # It has ended since.
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total


def children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def fill(server, count, per_request=500):
    items = ([key16(i), value16(i)] for i in range(count))
    with server.client() as client:
        client.load(batches(variadic(["SET" if per_request == 1 else "MSET"], items, per_request), max(4, 1000 // per_request)))


def persistence_field(client, name):
    for line in client.call("INFO", "persistence").decode().splitlines():
        if line.startswith(name + ":"):
            return line.partition(":")[2].strip()
    raise Failure(f"INFO has no {name}")


def save_in_background(server):
    """Runs a BGSAVE to its end; returns how long it took, seconds."""
    with server.client() as client:
        started = time.monotonic()
        client.call("BGSAVE")
        while persistence_field(client, "rdb_bgsave_in_progress") != "0":
            time.sleep(0.02)
        if persistence_field(client, "rdb_last_bgsave_status") != "ok":
            raise Failure("the save failed")
        return time.monotonic() - started


def save_row(server, count):
    fill(server, count)
    server.settled_rss()
    with Writer(server, count) as writer:
        with Memory(server) as before, Probe(server) as calm:
            written = writer.writes()
            time.sleep(WARM_SECONDS)
            rate_before = (writer.writes() - written) / WARM_SECONDS
        with Memory(server) as during, Probe(server) as busy:
            written = writer.writes()
            taken = save_in_background(server)
            rate = (writer.writes() - written) / taken
    return taken, calm, busy, (during.peak - before.peak) * 100 / before.peak, (rate, rate_before)


def run_saves(binary, scale, wanted):
    sizes = {f"bgsave-{millions}m": millions * 1_000_000 // scale for millions in (2, 10)}
    rows = {name: count for name, count in sizes.items() if wanted(name)}
    if rows:
        print("BGSAVE while one client overwrites random keys and another asks PING and GET every 0.5 ms")
        print(f"{'keys':>9} {'server':<8} {'seconds':>8} {'p99 ms':>14} {'max ms':>14} {'peak memory':>12} {'writes/s':>8}")
    for count in rows.values():
        for name, program in (("redis", REFERENCE), ("pyredis", binary)):
            try:
                with Server(name, program) as server:
                    taken, calm, busy, peak, rate = save_row(server, count)
            except Failure as failure:
                print(f"{count:>9} {name:<8} {failure}", flush=True)
                continue
            judged = ""
            if name == "pyredis":
                quiet = all(now <= max(then * PROBE_FACTOR, then + NOISE_MS)
                            for then, now in ((calm.p99, busy.p99), (calm.worst, busy.worst)))
                judged = f"(probe x{PROBE_FACTOR:g}: {verdict(quiet)}; memory +{PEAK_PERCENT} %: {verdict(peak <= PEAK_PERCENT)})"
            print(f"{count:>9} {name:<8} {taken:>8.2f} {calm.p99:>6.2f} {busy.p99:>7.2f} {calm.worst:>6.2f} {busy.worst:>7.2f} "
                  f"{peak:>+10.1f} % {rate[0]:>8.0f}, before {rate[1]:.0f} {judged}".rstrip(), flush=True)


# ── the append-only file ─────────────────────────────────────────────────────────────────────────

def run_fsync(binary, options, wanted):
    shown = False
    for policy in ("always", "everysec"):
        clients = [count for count in (1, 50, 500) if wanted(f"fsync-{policy}-{count}")]
        if not clients:
            continue
        if not shown:
            print(f"\nSET with an append-only file: requests/s, medians of {options.rounds} interleaved rounds")
            print(f"{'appendfsync':<12} {'clients':>7} {'pyredis':>9} {'redis':>9} {'ratio':>6} {'p99 ms':>8} {'redis':>8}")
            shown = True
        rows = [Workload("set", ALWAYS_RATIO, clients=count) for count in clients]
        arguments = ("--appendonly", "yes", "--appendfsync", policy, "--auto-aof-rewrite-percentage", "0")
        with Server("pyredis", binary, *arguments) as ours, Server("redis", REFERENCE, *arguments) as reference:
            measure((ours, reference), rows, options)
        for row in rows:
            report_fsync(policy, row)


def report_fsync(policy, row):
    if "failure" in row.samples:
        print(f"{policy:<12} {row.clients:>7} {row.samples['failure']}", flush=True)
        return
    rate, p99, _ = medians(row.samples["pyredis"])
    redis_rate, redis_p99, _ = medians(row.samples["redis"])
    ratio = rate / redis_rate
    is_judged = policy == "always" and row.clients == ALWAYS_CLIENTS
    judged = f"(target >= {ALWAYS_RATIO:g}: {verdict(ratio >= ALWAYS_RATIO)})" if is_judged else ""
    print(f"{policy:<12} {row.clients:>7} {rate:>9.0f} {redis_rate:>9.0f} {ratio:>6.2f} {p99:>8.2f} {redis_p99:>8.2f} "
          f"{judged}".rstrip(), flush=True)


# ── restarts ─────────────────────────────────────────────────────────────────────────────────────

def restart_seconds(name, binary, folder, *arguments):
    """From the start of the process to the first answer that is not -LOADING."""
    started = time.monotonic()
    with Server(name, binary, *arguments, folder=folder) as server:
        taken = time.monotonic() - started
        with server.client() as client:
            keys = client.call("DBSIZE")
    return taken, keys


def run_restarts(binary, scale, wanted):
    count = 2_000_000 // scale
    by_itself = ("--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
    rows = [row for row in (
        ("restart-rdb", "RDB", (), ["SAVE"]),
        ("restart-aof", "AOF of MSETs", by_itself, []),
        ("restart-aof-set", "AOF of SETs", by_itself, []),
        ("restart-aof-base", "AOF with RDB base", by_itself, ["BGREWRITEAOF"]),
    ) if wanted(row[0])]
    if rows:
        print(f"\nrestart with {count} string keys: seconds until the first answer")
        print(f"{'from':<22} {'redis':>8} {'pyredis':>8} {'ratio':>6}")
    for row, label, arguments, prepare in rows:
        times = {}
        for name, program in (("redis", REFERENCE), ("pyredis", binary)):
            try:
                times[name] = prepared_restart(name, program, count, arguments, prepare, 1 if row == "restart-aof-set" else 500)
            except Failure as failure:
                print(f"{label:<22} {name}: {failure}", flush=True)
        if len(times) == 2:
            ratio = times["pyredis"] / times["redis"]
            judged = f"(target <= {LOAD_RATIO:g}: {verdict(ratio <= LOAD_RATIO)})" if label == "RDB" else ""
            print(f"{label:<22} {times['redis']:>8.2f} {times['pyredis']:>8.2f} {ratio:>6.2f} {judged}".rstrip(), flush=True)


def prepared_restart(name, program, count, arguments, prepare, per_request):
    first = Server(name, program, *arguments)
    try:
        fill(first, count, per_request)
        with first.client() as client:
            for command in prepare:
                client.call(command)
            while persistence_field(client, "aof_rewrite_in_progress") != "0":
                time.sleep(0.05)
    except Exception:
        first.stop()
        raise
    first.stop(keep_folder=True)
    taken, keys = restart_seconds(name, program, first.folder, *arguments)
    if keys != count:
        raise Failure(f"{keys} of {count} keys are there after the restart")
    return taken


def run(binary, options, wanted):
    scale = 10 if options.quick else 1
    run_saves(binary, scale, wanted)
    run_fsync(binary, options, wanted)
    run_restarts(binary, scale, wanted)
