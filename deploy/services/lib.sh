# shellcheck shell=bash
# What every service program here shares: messages, the cache, bounded waiting, and processes that can be ended safely.

# Else a failed command inside $(…) goes unnoticed.
shopt -s inherit_errexit

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() { say "$*"; exit 1; }

is_root() { [ "$(id -u)" = 0 ]; }
has() { command -v "$1" > /dev/null; }

# Others than the installing user read the cache (Elasticsearch refuses to run as root), so a strict umask must not apply.
umask 022

# As root not under /root, which the user `nobody` cannot enter.
cache_dir() {
    local dir=${ETHMON_CACHE:-}
    if [ -z "$dir" ]; then
        if is_root; then dir=/var/cache/ethmon; else dir=${XDG_CACHE_HOME:-$HOME/.cache}/ethmon; fi
    fi
    mkdir -p "$dir" || fail "cannot use the cache directory: $dir cannot be made (set ETHMON_CACHE)"
    (cd "$dir" && pwd)
}

# install_once NAME FUNCTION: makes CACHE/NAME unless it is there, and prints its path. FUNCTION gets an empty directory and fills it.
# A rename at the end and a lock: an interrupted or a second simultaneous install leaves nothing half done.
install_once() {
    local name=$1 fill=$2 cache target work
    cache=$(cache_dir)
    target=$cache/$name
    if [ ! -d "$target" ]; then
        exec 8> "$cache/.lock-$name"
        flock 8
        if [ ! -d "$target" ]; then
            work=$cache/.new-$name
            rm -rf "$work"
            mkdir "$work"
            ("$fill" "$work") >&2 # not in a condition, in which `set -e` would be off
            mv -T "$work" "$target"
            say "installed $target"
        fi
        exec 8>&-
    fi
    echo "$target"
}

# quietly LOG COMMAND…: shows the log's end if the command fails, and ends the program.
quietly() {
    local log=$1 status=0
    shift
    "$@" >> "$log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then
        show_tail "$log"
        fail "cannot go on: $1 ended with exit code $status"
    fi
}

show_tail() {
    [ -s "$1" ] || { say "$1 is empty"; return 0; }
    say "the end of $1:"
    tail -n 25 "$1" | cut -c 1-300 | sed 's/^/    /' >&2 # some debug lines have 30,000 characters
}

# service_dir DIR: makes it and prints its absolute path.
service_dir() {
    [ -n "${1:-}" ] || fail "cannot go on: no directory given"
    mkdir -p "$1" || fail "cannot use $1: it cannot be made"
    (cd "$1" && pwd)
}

# --- waiting -------------------------------------------------------------------------------------------------------------------

# wait_until SECONDS COMMAND…: 0 as soon as the command succeeds, 1 when the time is over.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

# wait_ready DIR NAME LOG SECONDS COMMAND…: waits until the service answers; if it ends or stays silent, shows its log and fails.
wait_ready() {
    local dir=$1 name=$2 log=$3 seconds=$4
    shift 4
    # shellcheck disable=SC2317 # called through wait_until
    answers_or_died() { "$@" || ! is_alive "$dir" "$name"; }
    if ! wait_until "$seconds" answers_or_died "$@"; then
        show_tail "$log"
        fail "cannot start $name: no answer within $seconds s"
    fi
    if ! is_alive "$dir" "$name"; then
        show_tail "$log"
        fail "cannot start $name: it ended by itself"
    fi
}

http_ok() { curl -sf -o /dev/null --max-time 5 "$@"; }

# --- ports ---------------------------------------------------------------------------------------------------------------------

port_free() { ! (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

need_free_port() { port_free "$1" || fail "cannot start $2: port $1 is already in use"; }

# pick_port [OFFSET…]: a port that is free, and each of those above it too. Below 32768, where the kernel takes no port for outgoing connections.
pick_port() {
    local port tries
    for ((tries = 0; tries < 50; tries++)); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ports_free "$port" "$@"; then
            echo "$port"
            return
        fi
    done
    fail "cannot find a free port"
}

ports_free() { # PORT [OFFSET…]
    local port=$1 offset
    for offset in 0 "${@:2}"; do port_free $((port + offset)) || return 1; done
}

# choose_port GIVEN FILE [OFFSET…]: the given port; without one the port of the last start (a restarted service must be found again), else a free one.
choose_port() {
    local given=${1:-} file=$2
    if [ -z "$given" ] && [ -s "$file" ]; then given=$(cat "$file"); fi
    if [ -z "$given" ] || [ "$given" = 0 ]; then given=$(pick_port "${@:3}"); fi
    if ! [[ $given =~ ^[0-9]{1,5}$ ]]; then fail "cannot use port $given: not a port number"; fi
    echo "$given"
}

# --- processes -----------------------------------------------------------------------------------------------------------------
# A service is a session of its own: Ctrl-C in the terminal does not reach it, and children of a launcher can be found.
# DIR/NAME.pid holds the leader's pid, DIR/NAME.started its start time: a pid that now belongs to somebody else is never signalled.

# Fields of /proc/PID/stat from the state on (the name before it may hold spaces), or nothing.
process_stat() {
    local line
    { read -r line < "/proc/$1/stat"; } 2> /dev/null || return 0
    echo "${line##*) }"
}

# Start time in clock ticks, or nothing for a process that is gone or a zombie.
start_time() {
    local -a stat
    read -ra stat <<< "$(process_stat "$1")"
    case ${stat[0]:-gone} in gone | Z | X) ;; *) echo "${stat[19]}" ;; esac
}

# start_process DIR NAME LOG COMMAND…: in the background; log appended. Until `keep_running` is called it ends with this program, however that ends.
start_process() {
    local dir=$1 name=$2 log=$3 pid
    shift 3
    unready+=("$dir" "$name")
    trap end_unready EXIT
    setsid "$@" < /dev/null >> "$log" 2>&1 &
    pid=$!
    disown # bash would report its end
    echo "$pid" > "$dir/$name.pid"
    start_time "$pid" > "$dir/$name.started"
}

unready=()
keep_running() { unready=(); }
end_unready() {
    local i
    for ((i = 0; i < ${#unready[@]}; i += 2)); do end_process "${unready[i]}" "${unready[i + 1]}" 5; done
}

# is_alive DIR NAME: the leader that was started still runs.
is_alive() {
    local pid now
    [ -s "$1/$2.pid" ] || return 1
    pid=$(cat "$1/$2.pid")
    now=$(start_time "$pid")
    [ -n "$now" ] && [ "$now" = "$(cat "$1/$2.started" 2> /dev/null)" ]
}

# Living pids of the session started as DIR/NAME. The kernel gives a pid to nobody else while a session of that number has members,
# so a session without its leader is still ours, and one with a leader of another start time is not.
session_pids() {
    local dir=$1 name=$2 leader now entry
    local -a stat
    [ -s "$dir/$name.pid" ] || return 0
    leader=$(cat "$dir/$name.pid")
    now=$(start_time "$leader")
    if [ -n "$now" ] && [ "$now" != "$(cat "$dir/$name.started" 2> /dev/null)" ]; then return 0; fi
    for entry in /proc/[0-9]*; do
        read -ra stat <<< "$(process_stat "${entry#/proc/}")"
        case ${stat[0]:-gone} in gone | Z | X) continue ;; esac
        if [ "${stat[3]}" = "$leader" ]; then echo "${entry#/proc/}"; fi
    done
}

signal_process() { # SIGNAL DIR NAME
    local pid
    for pid in $(session_pids "$2" "$3"); do kill "-$1" "$pid" 2> /dev/null || true; done
}

no_process() { [ -z "$(session_pids "$1" "$2")" ]; }

# end_process DIR NAME [SECONDS]: TERM, bounded wait, KILL. Nothing to end is success.
end_process() {
    local dir=$1 name=$2 patience=${3:-10}
    if ! no_process "$dir" "$name"; then
        signal_process CONT "$dir" "$name" # a stopped process cannot end
        signal_process TERM "$dir" "$name"
        if ! wait_until "$patience" no_process "$dir" "$name"; then
            say "$name did not end within $patience s: killed"
            signal_process KILL "$dir" "$name"
            wait_until 5 no_process "$dir" "$name" || fail "cannot end $name: pid $(cat "$dir/$name.pid")"
        fi
        say "$name ended"
    fi
    rm -f "$dir/$name.pid" "$dir/$name.started"
}
