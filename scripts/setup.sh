#!/usr/bin/env bash
# Installs what this machine lacks for a given purpose, and says nothing when it lacks nothing.
#
#   scripts/setup.sh build          what the binary is compiled with
#   scripts/setup.sh test           what `make test` runs beside it: a WordPress farm, cargo tools
#   scripts/setup.sh conformance    what the public HTTP cache test suite runs on
#   scripts/setup.sh instructions   what counts instructions
#   scripts/setup.sh bench          the load generators, and the peers `make bench` compares with
#   scripts/setup.sh bench-all      beside these, the peers of `make bench-all`
#
# Purposes may be combined. Packages come from Debian, cargo tools from PyPI (ready built) or crates.io. No system
# service is started or left enabled: the tests run their own servers, on private directories and loopback ports.
set -euo pipefail

readonly NEXTEST_VERSION=0.9.148
readonly DENY_VERSION=0.20.2

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# === Debian packages ===

packages=()

need_package() { installed "$1" || packages+=("$1"); }

# A compiler of any origin will do, not only Debian's.
need_command() { have "$1" || packages+=("$2"); }

install_packages() {
    [ ${#packages[@]} -gt 0 ] || return 0
    have apt-get || die "these Debian packages (or their like) are needed, and there is no apt-get here: ${packages[*]}"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if have sudo && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            die "needs root once. Run:  sudo $0 ${purposes[*]}
setup: or by hand:  sudo apt-get install --no-install-recommends ${packages[*]}"
        fi
    fi
    say "installing ${packages[*]}"
    local log
    log=$(mktemp)
    if ! "${as_root[@]}" bash -s -- "${packages[@]}" >"$log" 2>&1 <<'ROOT'
set -euo pipefail
# Debian starts a service as soon as it is installed, unless this hook says no.
policy=/usr/sbin/policy-rc.d
saved=
restore() {
    rm -f "$policy"
    [ -z "$saved" ] || mv "$saved" "$policy"
}
if [ -e "$policy" ]; then
    saved=$(mktemp "$policy.XXXXXX")
    mv "$policy" "$saved"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update </dev/null
apt-get -q install -y --no-install-recommends "$@" </dev/null
# Nor at the next boot.
if [ -d /run/systemd/system ]; then
    for package in "$@"; do
        case $package in
            apache2) systemctl disable --quiet apache2 || true ;;
            mariadb-server) systemctl disable --quiet mariadb || true ;;
            nginx) systemctl disable --quiet nginx || true ;;
            varnish) systemctl disable --quiet varnish varnishncsa || true ;;
            haproxy | h2o | squid | trafficserver | redis-server) systemctl disable --quiet "$package" || true ;;
        esac
    done
fi
ROOT
    then
        cat "$log" >&2
        die "installing Debian packages failed, see above"
    fi
    rm -f "$log"
}

# === Cargo tools ===

# need_cargo_tool NAME VERSION: any version that is there is used.
need_cargo_tool() {
    cargo "${1#cargo-}" --version >/dev/null 2>&1 && return 0
    say "installing $1 $2"
    local tools=$HOME/.cache/forebay/tools pip_log
    pip_log=$(mktemp)
    mkdir -p "$tools" "$HOME/.cargo/bin"
    if have python3 && python3 -m pip install --quiet --target "$tools/$1-$2" --upgrade \
        "astral-dev-toolchain-$1==$2" >"$pip_log" 2>&1 && [ -x "$tools/$1-$2/bin/$1" ]; then
        ln -sf "$tools/$1-$2/bin/$1" "$HOME/.cargo/bin/$1"
    elif [ "$1" = cargo-nextest ]; then
        say "no ready-built one to be had, compiling it (some minutes)"
        cargo install --quiet --locked "$1" --version "$2"
    else
        cat "$pip_log" >&2
        die "no ready-built $1 to be had. Install it with:  cargo install --locked $1 --version $2"
    fi
    rm -f "$pip_log"
    cargo "${1#cargo-}" --version >/dev/null 2>&1 || die "$1 was installed but cargo does not find it: put ~/.cargo/bin into PATH"
}

# === Purposes ===

need_rust() {
    have cargo || die "Rust is missing. Install it from https://rustup.rs (the version in Cargo.toml: rust-version), then run this again"
}

purposes=("$@")
[ ${#purposes[@]} -gt 0 ] || die "say what for: build, test, conformance, instructions, bench, bench-all"
tools=()
for purpose in "${purposes[@]}"; do
    case $purpose in
        build)
            need_rust
            need_command gcc gcc
            need_command make make
            need_command cmake cmake # zlib-ng
            ;;
        test)
            need_rust
            need_package wordpress
            need_package wordpress-theme-twentytwentythree
            need_package apache2
            need_package libapache2-mod-php
            need_package php-mysql
            need_package mariadb-server
            need_package nginx
            need_package squid
            need_package redis-server
            need_package iproute2
            tools+=("cargo-nextest $NEXTEST_VERSION" "cargo-deny $DENY_VERSION")
            ;;
        conformance)
            need_command node nodejs
            need_command npm npm
            ;;
        instructions)
            need_command valgrind valgrind
            ;;
        bench | bench-all)
            need_rust
            need_command taskset util-linux
            need_command openssl openssl
            need_package wrk
            need_package nghttp2-client
            need_package nginx
            need_package libnginx-mod-stream
            need_package varnish
            need_package haproxy
            if [ "$purpose" = bench-all ]; then
                need_package squid
                need_package trafficserver
                need_package h2o
            fi
            ;;
        *) die "unknown purpose '$purpose': build, test, conformance, instructions, bench, bench-all" ;;
    esac
done
install_packages
for tool in "${tools[@]+"${tools[@]}"}"; do
    # shellcheck disable=SC2086 # name and version are two words
    need_cargo_tool $tool
done
