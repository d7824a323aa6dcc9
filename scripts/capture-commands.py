#!/usr/bin/env python3
"""Writes what a real Redis says about its commands into tests/data/, for our tests to compare with.

    redis-server --port 7777 --save '' &
    scripts/capture-commands.py 7777 tests/data

Facts only (names, numbers, flags, versions, the shape of the arguments): no summaries and no other prose.
The Rust side of the format is src/spec/captured_info.rs.
"""

import json
import shlex
import subprocess
import sys

GETKEYS = """
append k v
bitfield k get u8 1
bitfield k get u8 1 get u8 9
bitfield k get u8 1 set u8 1 2
bitfield k overflow sat get u8 1
bitfield k overflow
bitfield k set u8
bitfield k
bitop and a b c
blmove a b left right 0
blmpop 0 2 a b left
blmpop 0 x a left
blpop a b 0
blpop a b
bzmpop 1 1 a min
client list
command getkeys a b
config get a
copy a b
debug object a
del a b c
eval x 0
eval x 0 a
eval x 1 a
eval x 2 a
eval x -1 a
eval x a b
eval x +1 b
eval x 1b b
eval_ro x 1 a b
evalsha x 2 a b c
fcall f 1 a
fcall_ro f 0 a
geoadd k 1 2 m
georadius k 1 2 3 m
georadius k 1 2 3 m store
georadius k 1 2 3 m store d
georadius k 1 2 3 m store d store
georadius k 1 2 3 m store d storedist
georadius k 1 2 3 m store d storedist e
georadius k 1 2 3 m store d store e
georadiusbymember k m 1 m storedist d
georadiusbymember k m 1 m storedist
geosearchstore d s frommember m byradius 1 m
get a
get a b
getex a ex 1
lcs a b
lmove a b left left
lmpop 0 a left
lmpop 2 a b left
lmpop 3 a b left
memory usage a
mget a b
migrate h 1 k 0 1
migrate h 1 '' 0 1
migrate h 1 '' 0 1 keys
migrate h 1 '' 0 1 keys a b
migrate h 1 '' 0 1 copy replace keys a b
migrate h 1 '' 0 1 auth keys keys a b
migrate h 1 '' 0 1 auth2 keys keys keys a
migrate h 1 '' 0 1 auth2 keys keys a
migrate h 1 k 0 1 keys a b
mset a b c
msetnx a 1 b 2
object encoding a
object freq a
object help x
pfcount a b
pfmerge a b c
pfmerge a
ping 1
publish a b
rename a b
restore a 0 v
rpoplpush a b
set k v
set k v get
set k v ex get
set k v get2
sinter a b
sintercard 1 a
sintercard 2 a
sinterstore d a b
smove a b c
sort a
sort a by x get y store d store e
sort a get store store d
sort a limit 0 1 store
sort a limit store store x
sort a store
sort_ro a by b
spublish a b
ssubscribe a
subscribe a b
touch a b
unlink a b
watch a b
xadd a * f v
xautoclaim a g c 0 0
xgroup create a b c
xgroup createconsumer a b c
xinfo stream a
xread count 1 block
xread count 1 streams
xread count 1 streams a
xread count streams streams a b
xread streams a b 1
xread streams a b 1 2
xreadgroup group a b streams c d
xreadgroup group a b streams c
xreadgroup group a b count 1 streams c d 1 2
xreadgroup group streams b streams c d 1 2
xreadgroup streams a b c d e streams
xreadgroup streams a b c d streams x
xreadgroup group g noack streams a 1 streams
zdiff 1
zdiff 2 a b
zdiff x a
zdiffstore d 1 a
zinter 2 a b weights 1 2
zinterstore d 2 a b
zinterstore d 02 a b
zmpop 0 a min
zmpop 2 a b min
zmpop 2 a
zrangestore d s 0 -1
zunion 01 a
zunion 1x a
zunion 2x a
zunion 4294967297 a
zunionstore d 0 a b
zunionstore d 2 a b
zunionstore d 3 a b
"""


def ask(port, *words):
    out = subprocess.run(["redis-cli", "-3", "-p", port, "--json", *words], capture_output=True, text=True, check=False)
    # redis-cli writes an error as error:"text", and INFO as plain text.
    text = out.stdout.strip().removeprefix("error:")
    return json.loads(text) if text.startswith(("[", "{", '"')) else text


def key_spec(spec):
    begin, find = spec["begin_search"], spec["find_keys"]
    if begin["type"] == "index":
        start = f"index {begin['spec']['index']}"
    elif begin["type"] == "keyword":
        start = f"keyword {begin['spec']['keyword']} from {begin['spec']['startfrom']}"
    else:
        start = "unknown"
    where = find["spec"]
    if find["type"] == "range":
        run = f"range last {where['lastkey']} step {where['keystep']} limit {where['limit']}"
    elif find["type"] == "keynum":
        run = f"keynum at {where['keynumidx']} first {where['firstkey']} step {where['keystep']}"
    else:
        run = "unknown"
    return f"keys {start}, {run}: {' '.join(spec['flags'])}"


def argument(arg, depth):
    text = f"argument {arg['name']} {arg['type']}"
    if "token" in arg:
        text += f" token \"{arg['token'].strip(chr(34))}\""
    if "key_spec_index" in arg:
        text += f" key {arg['key_spec_index']}"
    for flag in ("optional", "multiple", "multiple_token"):
        if flag in arg.get("flags", []):
            text += f" {flag}"
    if "since" in arg:
        text += f" since {arg['since']}"
    if "deprecated_since" in arg:
        text += f" deprecated {arg['deprecated_since']}"
    yield "  " * depth + text
    for inner in arg.get("arguments", []):
        yield from argument(inner, depth + 1)


def block(info, docs):
    name, arity, flags, first, last, step, acl, tips, keys, _ = info
    yield f"{name} arity {arity} group {docs['group']} since {docs['since']}"
    if flags:
        yield "  flags " + " ".join(flags)
    if acl:
        yield "  acl " + " ".join(category.lstrip("@") for category in acl)
    if tips:
        yield "  tips " + " ".join(tips)
    if "syscmd" in docs.get("doc_flags", []):
        yield "  system"
    if "deprecated_since" in docs:
        yield f"  deprecated {docs['deprecated_since']}"
    if docs.get("history"):
        yield "  history " + " ".join(version for version, _ in pairs(docs["history"]))
    yield f"  range {first} {last} {step}"
    for spec in keys:
        yield "  " + key_spec(spec)
    for arg in docs.get("arguments", []):
        yield from argument(arg, 1)


def pairs(history):
    return history if isinstance(history, list) else list(history.items())


def main():
    port, folder = sys.argv[1:]
    version = ask(port, "info", "server").split("redis_version:")[1].split()[0]
    docs = ask(port, "command", "docs")
    blocks = []
    for info in ask(port, "command"):
        blocks.append((info[0], block(info, docs[info[0]])))
        for sub in info[9]:
            blocks.append((sub[0], block(sub, docs[info[0]]["subcommands"][sub[0]])))
    with open(f"{folder}/command-info.txt", "w", encoding="utf-8") as out:
        out.write(f"# COMMAND and COMMAND DOCS of Redis {version}, by scripts/capture-commands.py.\n")
        for _, lines in sorted(blocks, key=lambda pair: pair[0]):
            out.write("\n" + "\n".join(lines) + "\n")
    with open(f"{folder}/command-getkeys.txt", "w", encoding="utf-8") as out:
        out.write(f"# COMMAND GETKEYSANDFLAGS of Redis {version}, by scripts/capture-commands.py.\n")
        for call in GETKEYS.strip().splitlines():
            answer = ask(port, "command", "getkeysandflags", *shlex.split(call))
            if isinstance(answer, list):
                answer = " ".join(f"{key}({' '.join(flags)})" for key, flags in answer) or "(none)"
            out.write(f"{call} => {answer}\n")


main()
