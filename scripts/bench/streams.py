"""The streams that are measured: three fields of 16 bytes an entry, IDs 1-0, 1-1, 1-2 and so on."""

import subprocess

from servers import Failure

STREAM, GROUP, CONSUMER = "mystream", "mygroup", "myconsumer"
ENTRY = tuple(word for number in (1, 2, 3) for word in (f"field:{number}", f"value:{number:010d}"))
READ = ("xreadgroup", "GROUP", GROUP, CONSUMER, "COUNT", "10", "STREAMS", STREAM, ">")
ACK = ("xack", STREAM, GROUP) + ("1-__rand_int__",) * 10


def fill(server, count):
    """A stream of so many entries, and a group that was given none of them."""
    ask_often(server, count, ("XADD", STREAM, "1-*") + ENTRY)
    with server.client() as client:
        client.call("XGROUP", "CREATE", STREAM, GROUP, "0")


def fill_pending(server, count):
    """The same, and all entries pending."""
    fill(server, count)
    ask_often(server, -(-count // 10), READ)


def ask_often(server, times, words):
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-c", "1", "-P", "100", "-q",
               "-n", str(times), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    if done.returncode or "rror" in done.stderr:
        raise Failure(f"redis-benchmark failed to fill the stream: {done.stderr.strip()}")
