# shellcheck shell=bash
# Go for the services that are built from Go modules. Sourced after lib.sh.

# From here on Go fetches a newer toolchain by itself, from where it has its modules.
go_fetches=1.21

# choose_go WHAT: sets `go`, new enough at best. Where Go is unpacked by hand it is often not in PATH.
choose_go() {
    local candidate old=
    for candidate in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-*/bin/go; do
        if [ ! -x "$candidate" ]; then continue; fi
        if is_newer "$candidate" "$go_fetches"; then go=$candidate; return; fi
        old=$candidate
    done
    go=$old
    [ -n "$go" ] || fail "cannot build $1: it needs Go in PATH or /usr/local/go"
}

is_newer() { # GO VERSION
    local found
    found=$("$1" env GOVERSION 2> /dev/null) || return 1
    [ "$(printf '%s\n' "$2" "${found#go}" | sort -V | head -n 1)" = "$2" ]
}

# fetch_go VERSION: an older Go knows nothing of toolchains, but they are modules like any other. Sets `go` to one that is new enough.
fetch_go() {
    local platform home
    platform=$("$go" env GOOS)-$("$go" env GOARCH)
    say "fetching Go $1, here is $("$go" env GOVERSION)"
    home=$(cd / && GOFLAGS=-mod=mod "$go" mod download -json "golang.org/toolchain@v0.0.1-go$1.$platform" | sed -n 's/^.*"Dir": "\(.*\)".*/\1/p')
    [ -d "$home/pkg" ] || fail "cannot fetch Go $1 for $platform"
    chmod a+x "$home"/bin/* "$home"/pkg/tool/*/* # modules have no such bits
    go=$home/bin/go
}

# go_for WHAT VERSION: sets `go`, and fetches one where what is here is too old to do so itself.
go_for() {
    choose_go "$1"
    is_newer "$go" "$go_fetches" || fetch_go "$2"
    say "building $1 with $("$go" env GOVERSION)"
}

# with_go COMMAND…: GOROOT of another Go would be taken for this one's.
with_go() { env -u GOROOT GOTOOLCHAIN=auto GOFLAGS=-buildvcs=false "$@"; }
