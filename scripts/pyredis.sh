#!/bin/sh
# Starts, stops and restarts pyredis from a checkout: builds the release binary when it is missing or
# older than the sources, then hands over to it with the same arguments, in the caller's folder.
#
#   scripts/pyredis.sh start|stop|restart|status [CONF] [--directive value ...]
#   scripts/pyredis.sh start debug               in front, every log line on the terminal
#   scripts/pyredis.sh --help                    this text, and that of the binary if it is built
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
binary=$target_dir/release/pyredis

# Says why the binary must be built; nothing when it need not.
why_build() {
    if [ ! -x "$binary" ]; then
        echo "the release binary is not built yet"
        return
    fi
    newer=$(find "$root/src" "$root/Cargo.toml" "$root/Cargo.lock" -newer "$binary" 2>/dev/null | head -n 1)
    [ -z "$newer" ] || echo "${newer#"$root"/} is newer than the binary"
}

# Several callers at once (six `start`, say) build once: the first one locks, the others wait and look again.
ensure_built() {
    reason=$(why_build)
    [ -n "$reason" ] || return 0
    mkdir -p "$target_dir" || fail "can't create $target_dir"
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$target_dir/.pyredis.sh.lock"
        flock 9
        reason=$(why_build)
        [ -z "$reason" ] || build "$reason" 9>&-
        exec 9>&-
    else
        build "$reason"
    fi
}

build() {
    if ! command -v cargo >/dev/null 2>&1; then
        # rustup's own place is not on the PATH of every shell.
        PATH=${CARGO_HOME:-${HOME:-}/.cargo}/bin:$PATH
        command -v cargo >/dev/null 2>&1 ||
            fail "$1, and cargo is missing: install Rust (https://rustup.rs) and try again"
    fi
    printf 'pyredis.sh: building: %s (this takes a minute or two)\n' "$1" >&2
    touch "$target_dir/.pyredis.sh.begin"
    (cd "$root" && CARGO_TARGET_DIR=$target_dir cargo build --release --locked --bin pyredis >&2) ||
        fail "the build failed"
    # cargo leaves the binary alone when nothing it depends on has changed (a file was only touched, say);
    # and what changes while it builds is newer than the binary.
    touch -r "$target_dir/.pyredis.sh.begin" "$binary"
}

case ${1:---help} in
    -h | --help)
        sed -n '2,/^set -eu/{s/^# \{0,1\}//;/^set -eu/!p;}' "$root/scripts/pyredis.sh"
        if [ -x "$binary" ]; then exec "$binary" --help; fi
        exit 0
        ;;
    stop | status) [ -x "$binary" ] || ensure_built ;;
    *) ensure_built ;;
esac
exec "$binary" "$@"
