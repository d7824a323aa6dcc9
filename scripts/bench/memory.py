"""Resident bytes per element: each data set is loaded into a fresh server, before and after read from VmRSS."""

import streams
from servers import REFERENCE, Failure, Server, batches, encode, variadic, verdict

MASK = (1 << 64) - 1


def mixed(number):
    """A bijection that looks random: keys arrive in no order, and the same in every run."""
    number = (number + 1) * 0x9E3779B97F4A7C15 & MASK
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & MASK
    return number ^ number >> 31


def key16(number):
    return b"%016x" % mixed(number)


def value16(number):
    return b"%016x" % mixed(number ^ 0x5DEECE66D)


def strings(count):
    return variadic(["MSET"], ([key16(i), value16(i)] for i in range(count)), 500)


def strings_with_ttl(count):
    return (encode("SET", key16(i), value16(i), "EX", 86400 + i % 100000) for i in range(count))


def one_hash(count):
    return variadic(["HSET", "hash"], ([key16(i), value16(i)] for i in range(count)), 500)


def one_set(count):
    return variadic(["SADD", "set"], ([b"m" + key16(i)] for i in range(count)), 500)


def one_zset(count):
    return variadic(["ZADD", "zset"], ([b"%.3f" % (mixed(i) % 10**12 / 1000), b"m" + key16(i)] for i in range(count)), 500)


def small_hashes(count):
    for i in range(count // 10):
        fields = (word for j in range(10) for word in (b"field:%02d" % j, value16(10 * i + j)))
        yield encode("HSET", b"h:%06d" % i, *fields)


def one_list(count):
    return variadic(["RPUSH", "list"], ([b"el" + key16(i)] for i in range(count)), 500)


def one_stream(count):
    for i in range(count):
        fields = (word for j in range(3) for word in (b"field:%d" % j, value16(3 * i + j)))
        yield encode("XADD", streams.STREAM, "1-*", *fields)


def one_stream_pending(count):
    yield encode("XGROUP", "CREATE", streams.STREAM, streams.GROUP, "0", "MKSTREAM")
    yield from one_stream(count)
    yield from (encode(*streams.READ) for _ in range(0, count, 10))


# Nobody set a figure: no more than redis-server needs in the same run.
AS_REDIS = None

# name, requests, target in bytes per element, of PERFORMANCE's table for a million elements
DATA = [
    ("strings 16+16", strings, 65),
    ("strings 16+16, TTL each", strings_with_ttl, 85),
    ("hash, fields 16+16", one_hash, 65),
    ("set, members of 17", one_set, 40),
    ("zset, members of 17", one_zset, 70),
    ("hashes of 10 fields", small_hashes, 38),
    ("list, elements of 18", one_list, 20.8),
    ("stream, 3 fields of 16", one_stream, AS_REDIS),
    ("stream, all pending", one_stream_pending, AS_REDIS),
]


def bytes_per_element(name, binary, requests, count):
    with Server(name, binary) as server:
        before = server.settled_rss()
        with server.client() as client:
            client.load(batches(requests(count), 20))
        return (server.settled_rss() - before) * 1024 / count


def run(binary, options, wanted):
    count = 100_000 if options.quick else 1_000_000
    rows = [row for row in DATA if wanted(row[0])]
    if not rows:
        raise Failure(f"no data set matches '{options.only}': " + ", ".join(row[0] for row in DATA))
    print(f"memory: resident bytes per element, {count} elements, payload included")
    print(f"{'data':<26} {'pyredis':>8} {'redis':>8} {'ratio':>6} {'target':>8}")
    for name, requests, target in rows:
        redis = bytes_per_element("redis", REFERENCE, requests, count)
        target = redis if target is AS_REDIS else target
        try:
            ours = bytes_per_element("pyredis", binary, requests, count)
        except Failure as failure:
            print(f"{name:<26} {'-':>8} {redis:>8.1f} {'-':>6} {'<= %.4g' % target:>8} {failure}", flush=True)
            continue
        print(f"{name:<26} {ours:>8.1f} {redis:>8.1f} {ours / redis:>6.2f} {'<= %.4g' % target:>8} "
              f"{verdict(ours <= target)}", flush=True)
