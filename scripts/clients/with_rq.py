"""RQ: jobs through burst workers with retries, failures, dependencies, unique and rate-limited jobs, a schedule."""

import os
import signal
import time
from datetime import timedelta

import redis
from rq import Queue, Retry
from rq.exceptions import DuplicateJobError
from rq.rate_limit import RateLimit

from helpers import PORT, URL, check, equal, raises, run, start, until

JOBS = 40


# ── what the jobs do; the worker imports it from here ────────────────────────────────────────────

def add(a, b):
    redis.Redis(port=PORT).incr("runs:add")
    return a + b


def fail():
    raise RuntimeError("this job always fails")


def fail_once():
    if redis.Redis(port=PORT).incr("runs:fail_once") == 1:
        raise RuntimeError("the first time it fails")
    return "second time"


def alone():
    """Notes how many of its kind run at a time."""
    client = redis.Redis(port=PORT)
    client.set("alone:most", max(client.incr("alone:now"), int(client.get("alone:most") or 0)))
    time.sleep(0.02)
    client.decr("alone:now")


def hang():
    redis.Redis(port=PORT).set("hangs", os.getpid())
    time.sleep(60)


# ── the program ──────────────────────────────────────────────────────────────────────────────────

def worker(*options):
    return start("-m", "rq.cli", "worker", "--url", URL, "--logging_level", "WARNING", *options)


def burst(count=1, *options):
    workers = [worker("--burst", *options) for _ in range(count)]
    for process in workers:
        equal(process.wait(40), 0, "exit status of the worker")


def basics(client, queue):
    jobs = [queue.enqueue("with_rq.add", n, n) for n in range(JOBS)]
    failing = queue.enqueue("with_rq.fail")
    retried = queue.enqueue("with_rq.fail_once", retry=Retry(max=2))
    first = queue.enqueue("with_rq.add", 1, 2)
    dependent = queue.enqueue("with_rq.add", 3, 4, depends_on=first)
    equal(dependent.get_status(), "deferred", "what depends on another waits")
    queue.enqueue("with_rq.add", 1, 1, job_id="only-one", unique=True)
    raises(DuplicateJobError, queue.enqueue, "with_rq.add", 1, 1, job_id="only-one", unique=True)
    burst(2)
    equal([job.return_value() for job in jobs], [2 * n for n in range(JOBS)], "results")
    equal(int(client.get("runs:add")), JOBS + 3, "runs of jobs that succeed")
    check("this job always fails" in failing.latest_result().exc_string, "the failure is kept")
    equal(list(queue.failed_job_registry.get_job_ids()), [failing.id], "failed jobs")
    equal(retried.return_value(), "second time", "the retried job")
    equal(dependent.return_value(), 7, "the dependent job")
    equal(queue.failed_job_registry.requeue(failing.id).get_status(), "queued", "a failed job is queued again")
    queue.empty()
    equal(len(queue), 0, "the queue after empty()")


def rate_limited(client, queue):
    jobs = [queue.enqueue("with_rq.alone", rate_limit=RateLimit("one", 1)) for _ in range(6)]
    equal([job.get_status() for job in jobs], ["queued"] + ["rate_limited"] * 5, "one at a time")
    burst(2)
    until(lambda: all(job.get_status(refresh=True) == "finished" for job in jobs) or burst(), 20, "all limited jobs")
    equal(int(client.get("alone:most")), 1, "most at a time")


def scheduled(queue):
    job = queue.enqueue_in(timedelta(seconds=2), "with_rq.add", 20, 22)  # It rounds to seconds.
    equal(queue.scheduled_job_registry.count, 1, "scheduled jobs")
    process = worker("--with-scheduler")
    until(lambda: job.get_status(refresh=True) == "finished", 30, "the scheduled job")
    equal(job.return_value(), 42, "its result")
    job.refresh()
    check(job.started_at - job.created_at >= timedelta(seconds=0.9), "it has waited")
    process.send_signal(signal.SIGTERM)
    process.wait(20)


def killed_in_the_middle(client, queue):
    """The process that runs the job dies; its worker says so and goes on."""
    job = queue.enqueue("with_rq.hang")
    after = queue.enqueue("with_rq.add", 1, 1)
    process = worker("--burst")
    os.kill(int(until(lambda: client.get("hangs"), 20, "the job begins")), signal.SIGKILL)
    equal(process.wait(30), 0, "exit status of the worker")
    equal(job.get_status(refresh=True), "failed", "the killed job")
    equal(after.return_value(), 2, "the job behind it")


def program():
    client = redis.Redis(port=PORT)
    queue = Queue(connection=client)
    basics(client, queue)
    rate_limited(client, queue)
    scheduled(queue)
    killed_in_the_middle(client, queue)
    return f"{JOBS} jobs by 2 burst workers; failed, retried, dependent, unique, rate-limited, scheduled, killed jobs"


if __name__ == "__main__":
    run(program)
