# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Which Debian packages Weft needs, and the installing of those that are missing. Sourced by the other scripts.
#
# Groups: build (the library and the examples), test (all tests, sanitizers and Valgrind), bench (what is measured against).
# Looking costs a dpkg-query, so scripts may look each time; apt-get is only called when something is missing.

have_package() {
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) in
    ii* | hi*) return 0 ;;
    *) return 1 ;;
    esac
}

# The packages of a group, one a line; a|b is satisfied by either, and a is installed where the system has it.
packages_of() {
    case $1 in
    build)
        # Debian 12 has no libllhttp-dev; node-llhttp brings the C sources there.
        printf '%s\n' gcc libc6-dev meson ninja-build 'pkgconf|pkg-config' libuv1-dev libjansson-dev libdw-dev \
            libssl-dev libwslay-dev zlib1g-dev 'libllhttp-dev|node-llhttp'
        ;;
    test)
        # Debian's libdw.a wants bz2 and lzma, which libdw-dev does not bring: for programs that link libweft.a.
        printf '%s\n' libbz2-dev liblzma-dev golang-github-gorilla-websocket-dev
        printf '%s\n' g++ libcmocka-dev python3 python3-pytest python3-aiohttp python3-websockets node-ws curl \
            valgrind libc6-dbg clang llvm clang-format gdb chromium chromium-driver python3-selenium \
            nginx-light haproxy python3-httpx nodejs golang-go wrk nghttp2-client sslscan mold
        clang_runtime
        other_processors
        ;;
    bench)
        printf '%s\n' wrk golang-go golang-github-gorilla-websocket-dev valgrind python3 python3-aiohttp nginx-light nodejs \
            node-ws libwebsockets-dev
        # Not every Debian has h2o: it is measured where it can be had.
        ! apt-cache show h2o >/dev/null 2>&1 || echo h2o
        ;;
    *)
        echo "no package group is named $1 (build, test, bench)" >&2
        return 1
        ;;
    esac
}

# The sanitizers' runtime is a package of its own, named after clang's version.
clang_runtime() {
    version=$(readlink -f /usr/bin/clang | sed -n 's,.*/llvm-\([0-9]*\)/.*,\1,p')
    if [ -z "$version" ]; then
        version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    fi
    [ -z "$version" ] || echo "libclang-rt-$version-dev"
}

# What runs the switch for aarch64 elsewhere: a cross compiler and an emulator.
other_processors() {
    if [ "$(uname -m)" != aarch64 ]; then
        printf '%s\n' gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
    fi
}

# Those of the wanted packages that are not there.
missing_packages() {
    for group in "$@"; do
        for choice in $(packages_of "$group"); do
            found=
            for package in $(echo "$choice" | tr '|' ' '); do
                ! have_package "$package" || found=yes
            done
            [ -n "$found" ] || echo "$choice"
        done
    done
}

# Of a choice, the first that the package lists know; of an unknown one, the name, so that apt-get says what it lacks.
choose_package() {
    for package in $(echo "$1" | tr '|' ' '); do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    echo "${1%%|*}"
}

# install_packages GROUP...: says what is missing and installs it. Fails if that cannot be done.
install_packages() {
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
        echo "This is no Debian; the packages to look for: $missing(or use --no-install)" >&2
        return 1
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "Missing: $missing- install them as root, or install sudo." >&2
            return 1
        fi
        as_root=sudo
    fi
    echo "Missing packages: $missing"
    log=$(mktemp)
    echo "Reading the package lists (apt-get update) ..."
    if ! $as_root apt-get update -qq >"$log" 2>&1; then
        cat "$log" >&2 # perhaps one of several sources only; the next step tells
    fi
    # Looked for again: the name of clang's runtime may only be known now.
    chosen=
    for choice in $(missing_packages "$@"); do
        chosen="$chosen $(choose_package "$choice")"
    done
    echo "Installing:$chosen"
    # shellcheck disable=SC2086
    if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $chosen >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        echo "The packages could not be installed." >&2
        return 1
    fi
    rm -f "$log"
}
