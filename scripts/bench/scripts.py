"""The scripts that are measured: one call of GET or INCR, and a loop of fifty, by EVALSHA and as functions."""

import hashlib

KEY = "key:1"
BODIES = {
    "get": "return redis.call('get', keys[1])",
    "incr": "return redis.call('incr', keys[1])",
    "50_calls": "local last for i = 1, 50 do last = redis.call('get', keys[1]) end return last",
}
SCRIPTS = {name: "local keys = KEYS " + body for name, body in BODIES.items()}
LIBRARY = "#!lua name=bench\n" + "\n".join(
    f"redis.register_function('bench_{name}', function(keys, args) {body} end)" for name, body in BODIES.items()
)


def command(kind, name):
    """The command that runs one of them, by EVALSHA (kind `script`) or FCALL (kind `function`)."""
    if kind == "script":
        return ("evalsha", hashlib.sha1(SCRIPTS[name].encode()).hexdigest(), "1", KEY)
    return ("fcall", "bench_" + name, "1", KEY)


def fill(server):
    """Lets the server know all of them, and the key that they use."""
    with server.client() as client:
        client.call("SET", KEY, "100")
        for script in SCRIPTS.values():
            client.call("SCRIPT", "LOAD", script)
        client.call("FUNCTION", "LOAD", "REPLACE", LIBRARY)
