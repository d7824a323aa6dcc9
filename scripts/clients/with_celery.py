"""Celery with Redis as broker and result backend: groups, chords, retries, revoke, a worker killed in the middle."""

import os
import signal
import sys
import time

import redis
from celery import Celery, chain, chord, group
from celery.exceptions import TaskRevokedError

from helpers import PORT, URL, check, equal, raises, run, start, until

TASKS = 60
client = redis.Redis(port=PORT)
app = Celery("with_celery", broker=URL, backend=URL)
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    # What a dead worker held comes back after this many seconds.
    broker_transport_options={"visibility_timeout": 5, "unacked_restore_interval": 1, "unacked_restore_throttle": 1,
                              "unacked_mutex_expire": 5},
)


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3, default_retry_delay=0.1)
def works_at_third(self):
    try:
        if client.incr("attempts") < 3:
            raise RuntimeError("not yet")
    except RuntimeError as error:
        raise self.retry(exc=error)
    return int(client.get("attempts"))


@app.task
def fail():
    raise ValueError("this task always fails")


@app.task
def hang_once():
    if client.incr("hangs") == 1:
        time.sleep(60)
    return "done by another worker"


@app.task
def sleep_long():
    client.set("sleeps", 1)
    time.sleep(60)


def worker(name):
    return start(__file__, "worker", name)


def results():
    group_result = group(add.s(n, n) for n in range(TASKS)).apply_async()
    equal(group_result.get(timeout=30), [2 * n for n in range(TASKS)], "a group")
    equal(chord((add.s(n, 1) for n in range(TASKS)), total.s()).apply_async().get(timeout=30),
          sum(n + 1 for n in range(TASKS)), "a chord")
    equal(chain(add.s(1, 2), add.s(3), add.s(4)).apply_async().get(timeout=30), 10, "a chain")
    equal(works_at_third.delay().get(timeout=30), 3, "attempts of the retried task")
    equal(str(raises(ValueError, fail.delay().get, timeout=30)), "this task always fails", "the failure")
    error = raises(Exception, chord([add.s(1, 1), fail.s()], total.s()).apply_async().get, timeout=30)
    check("this task always fails" in str(error), f"a chord with a failing part: {error!r}")
    begun = time.monotonic()
    equal(add.apply_async((1, 1), countdown=1).get(timeout=30), 2, "a task with a countdown")
    check(time.monotonic() - begun >= 0.9, "it has waited")


def revoke():
    waiting = add.apply_async((1, 1), countdown=2)
    app.control.revoke(waiting.id, reply=True, timeout=1)
    running = sleep_long.delay()
    until(lambda: client.get("sleeps"), 20, "the long task begins")
    running.revoke(terminate=True, signal="SIGKILL")
    raises(TaskRevokedError, running.get, timeout=30)
    equal(running.state, "REVOKED", "the long task")
    raises(TaskRevokedError, waiting.get, timeout=30)


def control():
    replies = until(lambda: app.control.ping(timeout=1), 30, "the worker answers a ping")
    equal([list(reply.values()) for reply in replies], [[{"ok": "pong"}]], "ping")


def worker_killed(first):
    """Late acknowledgement: what the dead worker had begun is done by the next one."""
    task = hang_once.delay()
    until(lambda: client.get("hangs"), 20, "the task begins")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    # A task that the server hands to a dying process in BRPOP would be lost, as Celery has it.
    until(lambda: client.info("clients")["blocked_clients"] == 0, 20, "the server sees it go")
    rest = group(add.s(n, 0) for n in range(TASKS)).apply_async()
    second = worker("second")
    equal(rest.get(timeout=40), list(range(TASKS)), "the tasks behind it")
    equal(task.get(timeout=40), "done by another worker", "the task of the dead worker")
    equal(int(client.get("hangs")), 2, "its runs")
    second.send_signal(signal.SIGTERM)
    second.wait(30)
    equal(client.hlen("unacked"), 0, "deliveries that nobody acknowledged")


def program():
    first = worker("first")
    control()
    results()
    revoke()
    worker_killed(first)
    return f"group and chord of {TASKS}, chain, retries, countdown, revoke, ping; a killed worker's task runs again"


if sys.argv[1:2] == ["worker"]:
    os.setpgid(0, 0)  # A group of its own: killed with its children, as by the loss of its machine.
    app.worker_main(["worker", "--hostname", f"{sys.argv[2]}@localhost", "--concurrency", "2", "--loglevel", "WARNING"])
else:
    run(program)
