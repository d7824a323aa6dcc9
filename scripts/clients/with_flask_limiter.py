"""Flask-Limiter with its Redis storage: fixed, moving and sliding window, exact under concurrency."""

from collections import Counter

from flask import Flask
from flask_limiter import Limiter
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import STRATEGIES

from helpers import URL, check, equal, in_threads, run, until

LIMIT, REQUESTS, THREADS = 30, 80, 8


def application(strategy):
    app = Flask(strategy)
    limiter = Limiter(lambda: "somebody", app=app, storage_uri=URL, strategy=strategy, headers_enabled=True,
                      key_prefix=strategy, swallow_errors=False)

    @app.get("/monthly")
    @limiter.limit(f"{LIMIT} per month")
    def monthly():
        return "fine"

    @app.get("/brief")
    @limiter.limit("2 per 1 second")
    def brief():
        return "fine"

    return app


def exact_under_concurrency(app):
    statuses = Counter()

    def ask():
        client = app.test_client()
        for _ in range(REQUESTS // THREADS):
            statuses[client.get("/monthly").status_code] += 1

    in_threads(THREADS, ask)
    equal(dict(statuses), {200: LIMIT, 429: REQUESTS - LIMIT}, f"{app.name}: statuses")
    headers = app.test_client().get("/monthly").headers
    equal((headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]), (str(LIMIT), "0"), f"{app.name}: headers")


def opens_again(app):
    client = app.test_client()

    def status():
        return client.get("/brief").status_code

    until(lambda: [status() for _ in range(3)][-1] == 429, 10, f"{app.name}: the limit of a second")
    until(lambda: status() == 200, 10, f"{app.name}: it opens again")


def storage_itself(strategy):
    storage = storage_from_string(URL)
    limiter, limit = STRATEGIES[strategy](storage), parse("10/month")
    check(limiter.hit(limit, "costly", cost=7), f"{strategy}: a hit that costs 7")
    check(not limiter.test(limit, "costly", cost=4), f"{strategy}: 4 more would be too many")
    check(not limiter.hit(limit, "costly", cost=4), f"{strategy}: and are")
    expected = 0 if strategy == "fixed-window" else 3  # The fixed window counts what it refuses.
    equal(limiter.get_window_stats(limit, "costly").remaining, expected, f"{strategy}: remaining")
    limiter.clear(limit, "costly")
    equal(limiter.get_window_stats(limit, "costly").remaining, 10, f"{strategy}: remaining after clear")


def program():
    for strategy in ("fixed-window", "moving-window", "sliding-window-counter"):
        app = application(strategy)
        exact_under_concurrency(app)
        opens_again(app)
        storage_itself(strategy)
    storage = storage_from_string(URL)
    check(storage.check(), "the storage answers")
    check(storage.reset() > 0, "reset() deletes keys")
    equal(storage.reset(), 0, "and all of them")
    return f"fixed, moving, sliding window: exactly {LIMIT} of {REQUESTS} requests by {THREADS} threads; reset"


run(program)
