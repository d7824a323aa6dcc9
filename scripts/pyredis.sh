#!/bin/sh
# Starts, stops and restarts pyredis from a checkout: builds it when it is missing or older than the
# sources, then hands over to it with the same arguments, in the caller's folder.
#
#   scripts/pyredis.sh start|stop|restart|status [CONF] [--directive value ...]
#   scripts/pyredis.sh start debug               in front, every log line on the terminal
#   scripts/pyredis.sh CONF --directive value    in front, as redis-server
#   scripts/pyredis.sh --help                    this text, and that of the binary if it is built
#
# The first start builds the profile `quick`, which takes about a minute on two idle cores. A full build
# (`cargo build --release`, two minutes or more) is preferred as long as it is newer than the sources.
# CARGO_TARGET_DIR names another folder for the build, where this one belongs to somebody else.
#
# PYREDIS_CONF, PYREDIS_PORT, PYREDIS_DIR, PYREDIS_PIDFILE and PYREDIS_LOGFILE count less than the
# command line and more than the configuration file. stop and status take the binary that is there,
# however old: they must work while the sources do not build.
set -eu

fail() {
    printf 'pyredis.sh: %s\n' "$1" >&2
    exit 1
}

# The folder of this script, also when it is called through symbolic links.
script=$0
while [ -L "$script" ]; do
    target=$(readlink "$script")
    case $target in
        /*) script=$target ;;
        *) script=$(dirname "$script")/$target ;;
    esac
done
root=$(cd "$(dirname "$script")/.." && pwd -P) || fail "can't find the project's folder"

target_dir=${CARGO_TARGET_DIR:-$root/target}
case $target_dir in
    /*) ;;
    *) target_dir=$root/$target_dir ;;
esac
quick=$target_dir/quick/pyredis
full=$target_dir/release/pyredis

# Whether this binary is there and no source is newer.
is_fresh() {
    [ -x "$1" ] && [ -z "$(find "$root/src" "$root/Cargo.toml" "$root/Cargo.lock" -newer "$1" 2>/dev/null | head -n 1)" ]
}

# Whatever is there, the full build first.
existing() {
    if [ -x "$full" ]; then echo "$full"; elif [ -x "$quick" ]; then echo "$quick"; fi
}

# Sets `binary` to a fresh one. Several callers at once (six `start`, say) build once: the first one locks, the
# others wait and look again.
find_or_build() {
    for binary in "$full" "$quick"; do
        if is_fresh "$binary"; then return; fi
    done
    binary=$quick
    { mkdir -p "$target_dir" && [ -w "$target_dir" ]; } 2>/dev/null ||
        fail "pyredis must be built, and you can't write in $target_dir: name a folder of yours in CARGO_TARGET_DIR, or have its owner build it"
    if command -v flock >/dev/null 2>&1; then
        { : >>"$target_dir/.pyredis.sh.lock"; } 2>/dev/null ||
            fail "pyredis must be built, and somebody else owns $target_dir: name a folder of yours in CARGO_TARGET_DIR"
        exec 9>>"$target_dir/.pyredis.sh.lock"
        flock 9
        is_fresh "$quick" || build 9>&-
        exec 9>&-
    else
        build
    fi
}

build() {
    if ! command -v cargo >/dev/null 2>&1; then
        # rustup's own place is not on the PATH of every shell.
        PATH=${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH
        command -v cargo >/dev/null 2>&1 ||
            fail "pyredis must be built, and cargo is missing: install Rust (https://rustup.rs) and try again"
    fi
    if [ -x "$quick" ]; then reason="the sources are newer than the binary"; else reason="the first start"; fi
    printf 'pyredis.sh: building: %s (this takes a minute or two)\n' "$reason" >&2
    touch "$target_dir/.pyredis.sh.begin"
    (cd "$root" && CARGO_TARGET_DIR=$target_dir cargo build --profile quick --locked --bin pyredis >&2) ||
        fail "the build failed"
    # cargo leaves the binary alone when nothing it depends on has changed (a file was only touched, say);
    # and what changes while it builds is newer than the binary.
    touch -r "$target_dir/.pyredis.sh.begin" "$quick"
}

# The word nearest to a mistyped one; nothing when none is near.
nearest() {
    printf '%s start stop restart status check-aof check-rdb\n' "$1" | awk '
        function min(a, b) { return a < b ? a : b }
        function mistakes(from, to,    i, j, wrong, d) {
            for (i = 0; i <= length(from); i++) d[i, 0] = i
            for (j = 0; j <= length(to); j++) d[0, j] = j
            for (i = 1; i <= length(from); i++) for (j = 1; j <= length(to); j++) {
                wrong = substr(from, i, 1) != substr(to, j, 1)
                d[i, j] = min(d[i-1, j-1] + wrong, min(d[i-1, j], d[i, j-1]) + 1)
            }
            return d[length(from), length(to)]
        }
        {
            best = 3
            for (k = 2; k <= NF; k++) if ((m = mistakes(tolower($1), $k)) < best && m * 2 < length($1)) { best = m; word = $k }
            if (word) print word
        }'
}

# Ends the script when the first argument is no word, no option and no file, before anything is built.
check_word() {
    case $1 in
        start | stop | restart | status | check-aof | check-rdb | -* | */* | *.* | "" | *[[:space:]]*) return ;;
    esac
    if [ -e "$1" ]; then return; fi
    meant=$(nearest "$1")
    printf 'pyredis.sh: %s is neither a file nor one of start, stop, restart, status, check-aof, check-rdb%s\n' \
        "$1" "${meant:+; did you mean $meant?}" >&2
    exit 2
}

check_word "${1:-}"
case ${1:---help} in
    -h | --help)
        sed -n '2,/^set -eu/{s/^# \{0,1\}//;/^set -eu/!p;}' "$root/scripts/pyredis.sh"
        binary=$(existing)
        if [ -n "$binary" ]; then exec "$binary" --help; fi
        exit 0
        ;;
    stop | status)
        binary=$(existing)
        [ -n "$binary" ] || find_or_build
        ;;
    *) find_or_build ;;
esac
exec "$binary" "$@"
