# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Building, for the other scripts: sourced from the top of the tree, after set -eu.

# quietly COMMAND...: shows what it printed only if it fails.
quietly() {
    quiet_log=$(mktemp)
    quiet_status=0
    "$@" >"$quiet_log" 2>&1 || quiet_status=$?
    [ "$quiet_status" -eq 0 ] || cat "$quiet_log" >&2
    rm -f "$quiet_log"
    return "$quiet_status"
}

# Sets those of the options that $build_dir does not have yet.
set_options() {
    for option in "$@"; do
        assignment=${option#-D}
        if ! grep -qxF "${assignment%%=*} = ${assignment#*=}" "$build_dir/meson-private/cmd_line.txt"; then
            meson configure "$build_dir" "$option" >/dev/null 2>&1 || return 1
        fi
    done
}

# prepare_build DIR [-Doption=value...]: makes DIR a build directory of this very tree with these options, with as little work
# as it takes. One that an older checkout left is brought up to date; one that cannot be, or was copied from elsewhere, is made
# anew.
prepare_build() {
    build_dir=$1
    shift
    if [ -f "$build_dir/build.ninja" ]; then
        made_for=$(sed -n 's/.*"source": "\([^"]*\)".*/\1/p' "$build_dir/meson-info/meson-info.json" 2>/dev/null)
        if [ "$made_for" = "$(pwd -P)" ] && set_options "$@" && ninja -C "$build_dir" build.ninja >/dev/null 2>&1; then
            return 0
        fi
        echo "Making $build_dir anew."
        rm -rf "$build_dir"
    fi
    quietly meson setup "$build_dir" "$@"
}

# How many tests run at a time: three times as many as there are processors, for those with real clients mostly wait.
test_processes() {
    processors=$(nproc 2>/dev/null || echo 1)
    echo $((3 * processors))
}

# needed_files DIR [arguments of meson test]: the files that these tests need, with which it suffices to build them.
needed_files() {
    needed_dir=$1
    shift
    meson test -C "$needed_dir" --no-rebuild --list "$@" 2>/dev/null | scripts/needed "$needed_dir"
}

# test_build DIR [arguments of meson test]: builds all of DIR (which is prepared), or the files that $build_only lists, runs its
# tests, shows those that failed and prints the count as the last line. TEST_LIMIT seconds (600) bound the time of all tests
# together.
test_build() {
    test_dir=$1
    shift
    # shellcheck disable=SC2086
    quietly ninja -C "$test_dir" ${build_only:-}
    rm -f "$test_dir"/meson-logs/testlog*.json
    status=0
    timeout --foreground --kill-after=20 "${TEST_LIMIT:-600}" meson test -C "$test_dir" --no-rebuild \
        --num-processes "$(test_processes)" "$@" \
        >"$test_dir/meson-logs/run.txt" 2>&1 || status=$?
    case $status in
    124 | 137) echo "The tests did not end within ${TEST_LIMIT:-600} seconds." ;;
    esac
    log=$(echo "$test_dir"/meson-logs/testlog*.json) # under a wrapper the name has the wrapper's too
    [ -s "$log" ] || cat "$test_dir/meson-logs/run.txt"
    counted=yes
    "$(python3_of_system)" scripts/count --status "$status" "$log"
}

# promise_count: from here on, whatever ends the script early (a build that fails), its last line is a count.
promise_count() {
    counted=
    trap '[ -n "$counted" ] || echo "0 passed, 1 failed"' EXIT
}

# Debian's own, for it has pytest; another one may come first on the path.
python3_of_system() {
    if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else echo python3; fi
}
