"""The throughput table: redis-benchmark against both servers, in interleaved rounds, medians and ratios."""

import csv
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

import scripts
import streams
from servers import REFERENCE, Failure, Server, batches, encode, variadic, verdict


@dataclass
class Workload:
    """One row: a default test of redis-benchmark, or a command of its own, with the target of the row."""

    test: str
    target: float
    clients: int = 50
    pipeline: int = 1
    size: int = 3
    command: tuple = ()
    fill: str = ""
    cpu_target: float = 0.0
    p99_target: float = 0.0
    client_threads: int = 1
    samples: dict = field(default_factory=dict)

    @property
    def name(self):
        size = {3: "", 1024: " 1KiB", 65536: " 64KiB"}[self.size]
        return f"{self.test}{size} c={self.clients} P={self.pipeline}"


def workloads():
    def both(target, **options):
        return [Workload("set", target, **options), Workload("get", target, fill="string", **options)]

    rows = both(1.0, clients=1)
    rows += both(1.0, cpu_target=1.1, p99_target=1.0)
    rows += both(1.0, clients=500)
    rows += both(1.5, pipeline=16, cpu_target=0.7)
    rows += both(2.5, pipeline=64, cpu_target=0.4)
    rows += both(1.3, size=1024, pipeline=16)
    rows += both(1.0, size=65536)
    # A pop from an empty key measures nothing: these find as many elements as they ask for.
    fills = {"rpop": "list", "spop": "set", "zpopmin": "zset"}
    for test in ("incr", "lpush", "rpop", "sadd", "hset", "spop", "zadd", "zpopmin"):
        rows.append(Workload(test, 1.4, pipeline=16, fill=fills.get(test, "")))
    for count in (100, 600):
        rows.append(Workload(f"lrange_{count}", 1.5, command=("lrange", "mylist", "0", str(count - 1)), fill="range"))
    rows.append(Workload("mset", 1.2))
    for pipeline, target in ((1, 1.0), (16, 1.3)):
        rows += stream_workloads(target, pipeline=pipeline)
    for kind in ("script", "function"):
        for name, pipeline in (("get", 16), ("incr", 16), ("50_calls", 1)):
            command = scripts.command(kind, name)
            rows.append(Workload(f"{kind}_{name}", 1.0, command=command, fill="scripts", pipeline=pipeline))
    return rows


def stream_workloads(target, **options):
    add = ("*",) + streams.ENTRY
    return [
        Workload("xadd", target, command=("xadd", streams.STREAM) + add, **options),
        Workload("xadd_maxlen", target, command=("xadd", streams.STREAM, "MAXLEN", "~", "10000") + add, **options),
        Workload("xrange_100", target, command=("xrange", streams.STREAM, "-", "+", "COUNT", "100"), fill="stream",
                 client_threads=2, **options),
        Workload("xreadgroup_10", target, command=streams.READ, fill="unread", **options),
        Workload("xack_10", target, command=streams.ACK, fill="pending", **options),
    ]


def fill(server, workload, requests, keyspace):
    """Brings the server to the state the workload starts from."""
    with server.client() as client:
        client.call("FLUSHALL")
        if workload.fill == "string":
            names = (f"key:{number:012d}" for number in range(keyspace)) if keyspace else ["key:__rand_int__"]
            client.load(batches((encode("SET", name, b"x" * workload.size) for name in names), 100))
        elif workload.fill == "range":
            client.load(batches(variadic(["RPUSH", "mylist"], ([b"xxx"] for _ in range(1000)), 500), 1))
        elif workload.fill == "scripts":
            scripts.fill(server)
        elif workload.fill == "stream":
            streams.fill(server, 1000)
        elif workload.fill == "unread":
            streams.fill(server, 10 * requests)
        elif workload.fill == "pending":
            streams.fill_pending(server, 10 * requests)
        elif workload.fill:
            head, item = {
                "list": (["RPUSH", "mylist"], lambda number: [b"xxx"]),
                "set": (["SADD", "myset"], lambda number: [b"element:%012d" % number]),
                "zset": (["ZADD", "myzset"], lambda number: [b"%d" % number, b"element:%012d" % number]),
            }[workload.fill]
            client.load(batches(variadic(head, map(item, range(requests)), 500), 4))


def run_once(server, workload, requests, keyspace):
    """One redis-benchmark run: (requests/s, p99 in ms, CPU µs of the server per request)."""
    fill(server, workload, requests, keyspace)
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-c", str(workload.clients),
               "-P", str(workload.pipeline), "-n", str(requests), "-d", str(workload.size), "--csv"]
    if workload.client_threads > 1:
        command += ["--threads", str(workload.client_threads)]
    if workload.fill == "pending":
        command += ["-r", str(10 * requests)]  # The random numbers are IDs.
    elif keyspace:
        command += ["-r", str(keyspace)]
    command += workload.command or ("-t", workload.test)
    before = server.cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    cpu = server.cpu_seconds() - before
    rows = [row for row in csv.DictReader(done.stdout.splitlines()) if row.get("p99_latency_ms")]
    if done.returncode or len(rows) != 1:
        said = (done.stderr + done.stdout).strip().splitlines()
        raise Failure(f"redis-benchmark failed: {said[-1] if said else 'no output'}")
    return float(rows[0]["rps"]), float(rows[0]["p99_latency_ms"]), cpu / requests * 1e6


def requests_for(server, workload, seconds, keyspace):
    """How many requests keep redis-server busy for about that long, found by a short run."""
    least = 20 * workload.clients * workload.pipeline
    rate, _, _ = run_once(server, workload, max(2000, least), keyspace)
    rounded = float(f"{rate * seconds:.2g}")
    return int(max(rounded, least, 1000))


def measure(servers, rows, options):
    """Fills every row's samples: {server name: [(rps, p99, cpu), ...]}."""
    ours, reference = servers
    sizes = {}
    ours.pause()
    for row in rows:
        sizes[row.name] = requests_for(reference, row, options.seconds, options.keyspace)
    ours.resume()
    for turn in range(options.rounds):
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr, flush=True)
        for row in rows:
            if "failure" in row.samples:
                continue
            for server in servers if turn % 2 == 0 else reversed(servers):
                other = reference if server is ours else ours
                other.pause()
                try:
                    sample = run_once(server, row, sizes[row.name], options.keyspace)
                    row.samples.setdefault(server.name, []).append(sample)
                except (Failure, OSError, subprocess.TimeoutExpired) as failure:
                    row.samples["failure"] = f"{server.name}: {failure}"
                    break
                finally:
                    other.resume()
            if ours.process.poll() is not None:
                raise Failure(f"{ours.name} ended with {ours.process.returncode} during {row.name}")


def medians(samples):
    return [statistics.median(column) for column in zip(*samples)]


def report(rows):
    """Prints the table, the further targets and the geometric mean."""
    print(f"{'workload':<20} {'pyredis':>10} {'redis':>10} {'ratio':>6} {'target':>7} {'':<6} "
          f"{'p99 ms':>7} {'redis':>7}  {'CPU µs':>7} {'redis':>7} {'ratio':>6}")
    ratios, further, met = [], [], []
    for row in rows:
        if "failure" in row.samples:
            print(f"{row.name:<20} {row.samples['failure']}")
            met.append(False)
            continue
        rate, p99, cpu = medians(row.samples["pyredis"])
        redis_rate, redis_p99, redis_cpu = medians(row.samples["redis"])
        ratio, cpu_ratio = rate / redis_rate, cpu / redis_cpu if redis_cpu else math.nan
        ratios.append(ratio)
        met.append(ratio >= row.target)
        print(f"{row.name:<20} {rate:>10.0f} {redis_rate:>10.0f} {ratio:>6.2f} {'>= %.1f' % row.target:>7} "
              f"{verdict(met[-1]):<6} {p99:>7.2f} {redis_p99:>7.2f}  {cpu:>7.2f} {redis_cpu:>7.2f} {cpu_ratio:>6.2f}")
        if row.cpu_target:
            further.append((row.name, "CPU", cpu_ratio, row.cpu_target))
        if row.p99_target:
            further.append((row.name, "p99", p99 / redis_p99 if redis_p99 else math.inf, row.p99_target))
    print()
    for name, what, ratio, target in further:
        met.append(ratio <= target)
        print(f"{name:<20} {what} ratio {ratio:.2f}, target <= {target:<4} {verdict(met[-1])}")
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"\ngeometric mean of the ratios: {mean:.2f} ({len(ratios)} workloads)")
    print(f"targets met: {sum(met)} of {len(met)}")


def run(binary, options, wanted):
    rows = [row for row in workloads() if wanted(row.name)]
    if not rows:
        raise Failure(f"no workload matches '{options.only}': " + ", ".join(row.name for row in workloads()))
    with Server("pyredis", binary) as ours, Server("redis", REFERENCE) as reference:
        measure((ours, reference), rows, options)
    print(f"throughput: medians of {options.rounds} interleaved rounds, requests/s")
    report(rows)
