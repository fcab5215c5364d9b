#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The table of the runtime: Weft through its public calls, beside swapcontext and, where they are, Go and asyncio.

Every program prints "name best median" lines of its repetitions, in nanoseconds of processor time per operation (bytes for
parked_), and runs alone, pinned to one core. Weft's best and median stand in the table; of the peers, the best.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PEERS = pathlib.Path(__file__).resolve().parent / "peers"
CORE = 1  # core 0 serves most interrupts

ROWS = {  # name: (what it is, the most that the median may be)
    "switch": ("switch between two stacks (lib/coro)", None),
    "resume_1000": ("into and out of each of 1,000 coroutines (lib/coro)", None),
    "yield_2": ("resume and yield, 2 tasks", None),
    "yield_1000": ("resume and yield, 1,000 tasks", None),
    "spawn_one": ("group, spawn, run, end, join", None),
    "spawn_beside_1000": ("the same, 1,000 others waiting", None),
    "spawn_64": ("spawn, run, end; 64 in a group (warm)", 70),
    "spawn_1000": ("spawn, run, end; 1,000 alive", 300),
    "timeout_unused": ("deadline set and cleared", None),
    "sleep_cut": ("sleep cancelled by another task", None),
    "generator_step": ("a value from a generator's body", 35),
    "generator_whole": ("a generator made, one value, end, closed", None),
    "pipeline_step": ("a value through range, map, filter", None),
    "offload": ("a call in a thread and back", None),
    "file_load": ("a file of 4 KiB loaded whole, in a thread", None),
    "file_pread": ("4 KiB read from an open file, in a thread", None),
    "process_run": ("a program started, waited for, reaped", None),
    "queue_1": ("item through a queue of 1", 35),
    "queue_10": ("item through a queue of 10", 35),
    "queue_64": ("item through a queue of 64", None),
    "queue_alone": ("item put and got by one task", 15),
    "lock": ("lock acquired and released", 5),
    "semaphore": ("semaphore acquired and released", None),
    "event": ("event set, and an answer by another", None),
    "select_4": ("item by a select over 4 queues", None),
    "parked_bytes": ("a task that waits after a log line: bytes", 4608),
    "parked_table_bytes": ("  and page tables of it: bytes", None),
}


def pin():
    if CORE in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {CORE})


def run(name, command):
    """The figures a program prints, {name: (best, median)}; raises when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, preexec_fn=pin,
                          check=False)
    figures = {}
    for line in done.stdout.splitlines():
        row, best, median = line.split()
        figures[row] = (float(best), float(median))
    if done.returncode or not figures:
        print("%s failed, status %d: %s" % (name, done.returncode, done.stderr.strip()[-500:]), file=sys.stderr)
    return figures, done.returncode


def go_peer(directory):
    if not shutil.which("go"):
        return None
    program = os.path.join(directory, "go_runtime")
    built = subprocess.run(["go", "build", "-o", program, str(PEERS / "go_runtime.go")], check=False, capture_output=True,
                           text=True, timeout=180)
    if built.returncode:
        print("go_runtime.go does not build, left out: " + built.stderr.strip(), file=sys.stderr)
        return None
    return [program]


def asyncio_peer():
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    return [python, str(PEERS / "asyncio_runtime.py")]


def figure(pair, index=0):
    if not pair:
        return ""
    return "%.1f" % pair[index] if pair[index] < 100 else format(round(pair[index]), ",")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", required=True, help="the directory of the programs runtime, switch and swapcontext")
    parser.add_argument("--no-peers", action="store_true", help="only Weft")
    options = parser.parse_args()
    weft, status = run("runtime", [os.path.join(options.programs, "runtime")])
    switch, switch_status = run("switch", [os.path.join(options.programs, "switch")])
    weft.update(switch)
    peers = {}
    if not options.no_peers:
        with tempfile.TemporaryDirectory(prefix="weft-bench-") as directory:
            commands = {"swapcontext": [os.path.join(options.programs, "swapcontext")], "Go": go_peer(directory),
                        "asyncio": asyncio_peer()}
            peers = {name: run(name, command)[0] for name, command in commands.items() if command}
    print("Runtime: nanoseconds per operation, through the public calls unless said otherwise")
    print("  %-52s %8s %8s %8s %s" % ("", "best", "median", "aim", "".join("%12s" % name for name in peers)))
    for row, (title, aim) in ROWS.items():
        own = weft.get(row)
        goal = "" if aim is None else "<= %s" % format(aim, ",")
        missed = "  missed" if aim is not None and own and own[1] > aim else ""
        line = "  %-52s %8s %8s %8s %s%s" % (title, figure(own) or "failed", figure(own, 1), goal,
                                             "".join("%12s" % figure(p.get(row)) for p in peers.values()), missed)
        print(line.rstrip())
    return 1 if status or switch_status else 0


if __name__ == "__main__":
    sys.exit(main())
