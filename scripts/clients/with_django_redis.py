"""django-redis as Django's cache: incr, locks, delete_pattern, ttl, many keys, versions."""

from django.conf import settings

from helpers import URL, check, equal, in_threads, raises, run, until

settings.configure(CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": URL}})

from django.core.cache import cache  # noqa: E402

THREADS, ROUNDS = 6, 50


def counters():
    raises(ValueError, cache.incr, "nothing")
    check(cache.add("n", 5), "add() of a new key")
    check(not cache.add("n", 6), "add() of one that is there")
    equal(cache.incr("n", 10), 15, "incr")
    equal(cache.decr("n"), 14, "decr")
    equal(cache.incr("fresh", ignore_key_check=True), 1, "incr that makes the key")
    cache.set("large", 2**63 - 1)
    equal(cache.incr("large"), 2**63, "incr beyond 64 bits")


def count_by_script():
    for _ in range(ROUNDS):
        cache.incr("together")


def count_under_lock():
    for _ in range(ROUNDS):
        with cache.lock("lock", timeout=10, sleep=0.002):
            cache.set("locked", cache.get("locked") + 1)


def contention():
    cache.set_many({"together": 0, "locked": 0}, timeout=None)
    in_threads(THREADS, count_by_script)
    in_threads(THREADS, count_under_lock)
    equal(cache.get_many(["together", "locked"]), dict.fromkeys(["together", "locked"], THREADS * ROUNDS), "counters")


def times():
    cache.set("soon", "x", timeout=100)
    check(98 <= cache.ttl("soon") <= 100, f"ttl: {cache.ttl('soon')}")
    equal(cache.incr("n"), 15, "incr")
    cache.expire("soon", timeout=10)
    check(9_000 < cache.pttl("soon") <= 10_000, f"pttl: {cache.pttl('soon')}")
    check(cache.persist("soon"), "persist")
    equal((cache.ttl("soon"), cache.ttl("never was")), (None, 0), "ttl without a limit, and of no key")
    cache.pexpire("soon", timeout=20)
    until(lambda: cache.get("soon") is None, 5, "the key expires")


def patterns():
    cache.set_many({f"page:{n}": {"number": n} for n in range(500)})
    cache.set("other", 1)
    equal(cache.get("page:77"), {"number": 77}, "a pickled value")
    equal(len(list(cache.iter_keys("page:*"))), 500, "iter_keys")
    equal(cache.delete_pattern("page:1*", itersize=50), 111, "delete_pattern")
    equal(len(cache.keys("page:*")), 389, "what is left")
    equal(cache.delete_many(cache.keys("page:*")), 389, "delete_many")
    equal(cache.get("other"), 1, "a key of another pattern")
    cache.incr_version("other")
    equal((cache.get("other"), cache.get("other", version=2)), (None, 1), "incr_version")
    cache.clear()
    equal(cache.keys("*"), [], "after clear()")


def program():
    for step in (counters, contention, times, patterns):
        step()
    return f"incr/decr, lock ({THREADS} threads), ttl/expire/persist, delete_pattern, many keys, versions"


run(program)
