"""redis-py: Lock, register_script, the typed replies of EVAL, functions and SCRIPT KILL, over RESP2 and RESP3."""

import threading

import redis
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError, ResponseError

from helpers import PORT, check, equal, in_threads, raises, run, until

THREADS, ROUNDS = 8, 40
LIBRARY = """#!lua name=shop
redis.register_function('sell', function(keys, args)
  return redis.call('DECRBY', keys[1], args[1])
end)
redis.register_function{function_name='stock', callback=function(keys)
  return redis.call('GET', keys[1])
end, flags={'no-writes'}}
"""


def connect(protocol):
    return redis.Redis(port=PORT, protocol=protocol, decode_responses=True)


def lock_contention(client):
    """A counter that is read, then written: without the lock, steps would get lost."""
    def work():
        for _ in range(ROUNDS):
            with client.lock("counter-lock", timeout=10, blocking_timeout=30, sleep=0.002):
                client.set("counter", int(client.get("counter")) + 1)

    client.set("counter", 0)
    in_threads(THREADS, work)
    equal(int(client.get("counter")), THREADS * ROUNDS, "the counter")
    equal(client.exists("counter-lock"), 0, "the lock is gone")


def lock_extension(client):
    lock = client.lock("lock", timeout=5)
    check(lock.acquire(), "a free lock is acquired")
    check(not client.lock("lock", timeout=5).acquire(blocking=False), "a lock that is held is not")
    lock.extend(10)
    check(12_000 < client.pttl("lock") <= 15_000, f"5 s and 10 s more: {client.pttl('lock')} ms")
    lock.extend(20, replace_ttl=True)
    check(17_000 < client.pttl("lock") <= 20_000, f"20 s instead: {client.pttl('lock')} ms")
    lock.reacquire()
    check(3_000 < client.pttl("lock") <= 5_000, f"5 s again: {client.pttl('lock')} ms")
    check(lock.owned(), "it is still ours")
    lock.release()
    raises(LockError, lock.release)


def lock_lost(client):
    lock = client.lock("lock", timeout=0.05)
    check(lock.acquire(), "a free lock is acquired")
    until(lambda: not client.exists("lock"), 5, "the lock expires")
    other = client.lock("lock", timeout=30)
    check(other.acquire(blocking=False), "somebody else takes it")
    raises(LockNotOwnedError, lock.extend, 1)
    lock.local.token = "mine-no-more"
    raises(LockNotOwnedError, lock.reacquire)
    lock.local.token = "mine-no-more"
    raises(LockNotOwnedError, lock.release)
    check(other.owned(), "whoever lost it has not taken it away")
    other.release()


def scripts(client):
    add = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    equal(add(keys=["sum"], args=[5]), 5, "the script's first call")
    equal(client.script_exists(add.sha, "0" * 40), [True, False], "SCRIPT EXISTS")
    client.script_flush()
    raises(NoScriptError, client.evalsha, add.sha, 1, "sum", 1)
    equal(add(keys=["sum"], args=[6]), 11, "after SCRIPT FLUSH it is loaded again")
    client.script_flush()
    pipeline = client.pipeline()
    pipeline.set("other", 1)
    add(keys=["sum"], args=[1], client=pipeline)
    add(keys=["other"], args=[1], client=pipeline)
    equal(pipeline.execute(), [True, 12, 2], "scripts in a transaction after SCRIPT FLUSH")
    client.delete("sum", "other")


def replies(client):
    def evaluate(text, *words):
        return client.eval(text, 0, *words)

    equal(evaluate("return {1, 2.9, 'text', {ARGV[1]}, false, true, nil, 4}", "x"), [1, 2, "text", ["x"], None, 1], "types")
    equal(evaluate("return redis.status_reply('FINE')"), "FINE", "a status")
    equal(evaluate("return cjson.decode(ARGV[1]).a[2]", '{"a": [1, "two"]}'), "two", "cjson")
    equal(evaluate("return cmsgpack.unpack(cmsgpack.pack({7, 'x'}))"), [7, "x"], "cmsgpack")
    equal(client.eval_ro("return redis.call('GET', KEYS[1])", 1, "nothing"), None, "EVAL_RO")
    equal(str(raises(ResponseError, evaluate, "return redis.error_reply('MINE went wrong')")), "MINE went wrong", "an error")
    check("Write commands are not allowed" in str(raises(ResponseError, client.eval_ro, "redis.call('SET', 'a', 1)", 0)),
          "EVAL_RO refuses to write")
    check("WRONGTYPE" in str(raises(ResponseError, client.eval,
                                    "redis.call('LPUSH', KEYS[1], 1) redis.call('GET', KEYS[1])", 1, "list")), "WRONGTYPE")
    equal(client.lrange("list", 0, -1), ["1"], "what a script has written before its error stays")
    client.delete("list")


def functions(client):
    equal(client.function_load(LIBRARY), "shop", "FUNCTION LOAD")
    check("already exists" in str(raises(ResponseError, client.function_load, LIBRARY)), "not a second time")
    client.set("apples", 10)
    equal(client.fcall("sell", 1, "apples", 3), 7, "FCALL")
    equal(client.fcall_ro("stock", 1, "apples"), "7", "FCALL_RO")
    check("*_ro" in str(raises(ResponseError, client.fcall_ro, "sell", 1, "apples", 3)), "FCALL_RO refuses to write")
    raw = redis.Redis(port=PORT)
    dump = raw.function_dump()
    client.function_delete("shop")
    check("not found" in str(raises(ResponseError, client.fcall, "sell", 1, "apples", 1)), "it is gone")
    raw.function_restore(dump)
    equal(client.fcall("sell", 1, "apples", 1), 6, "FUNCTION RESTORE")
    check("stock" in str(client.function_list(library="sh*", withcode=True)), "FUNCTION LIST")
    check("NOTBUSY" in str(raises(ResponseError, client.function_kill)), "FUNCTION KILL")
    client.function_flush()


def endless_script(client):
    client.config_set("busy-reply-threshold", 50)
    errors = []

    def loop():
        errors.append(str(raises(ResponseError, connect(2).eval, "while true do end", 0)))

    def is_busy():
        try:
            client.ping()
        except ResponseError as error:
            return "BUSY" in str(error)

    thread = threading.Thread(target=loop)
    thread.start()
    until(is_busy, 20, "the server says BUSY")
    client.script_kill()
    thread.join()
    check("killed by user" in errors[0], errors[0])
    check(client.ping(), "the server answers again")


def program():
    for protocol in (2, 3):
        client = connect(protocol)
        for step in (lock_contention, lock_extension, lock_lost, scripts, replies, functions, endless_script):
            step(client)
    return f"RESP2 and RESP3: Lock ({THREADS} threads), register_script, reply types, functions, SCRIPT KILL"


run(program)
