#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The table of instructions: user instructions of one request, and of one operation of the runtime, counted by callgrind.

Each program runs twice, with two counts of operations; the difference of the instructions, divided by the difference of the
counts, is what one costs: starting and ending are not in it. Requests go over a memory stream, so the kernel is not in it
either. The figures are the same twice, on any machine of one compiler: a change of one per cent is real.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

REQUESTS = {  # argument of request_instructions: what it is
    "plain": "GET /plaintext",
    "hello": "GET /hello/{name}",
    "pipelined": "GET /plaintext, pipelined by 16",
    "browser": "GET /plaintext, a browser's head of 600 bytes",
    "stream": "the stream and the client alone (in all of these)",
}
OPERATIONS = {  # of bench/runtime: what it is
    "yield_2": "resume and yield, 2 tasks",
    "spawn_one": "group, spawn, run, end, join",
    "spawn_64": "spawn, run, end; 64 in a group",
    "timeout_unused": "deadline set and cleared",
    "sleep_cut": "sleep cancelled by another task",
    "queue_1": "item through a queue of 1",
    "queue_64": "item through a queue of 64",
}
FEW, MANY = 1600, 9600  # multiples of 16 and of 64


def count(program, argument, directory):
    """All user instructions of one run."""
    out = os.path.join(directory, "callgrind.out")
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, program, argument],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError("%s %s: status %d: %s" % (program, argument, done.returncode, done.stderr.strip()[-500:]))
    with open(out, encoding="utf-8", errors="replace") as f:
        total = re.search(r"^(?:totals|summary): (\d+)", f.read(), re.MULTILINE)
    os.unlink(out)
    return int(total.group(1))


def print_rows(title, program, rows, directory):
    """Returns whether all went well."""
    print("\n%s" % title)
    well = True
    for argument, words in rows.items():
        try:
            few, many = (count(program, "%s=%d" % (argument, n), directory) for n in (FEW, MANY))
            print("  %-52s %8s" % (words, format(round((many - few) / (MANY - FEW)), ",")), flush=True)
        except (RuntimeError, subprocess.SubprocessError) as error:
            print("  %-52s failed: %s" % (words, error), flush=True)
            well = False
    return well


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", required=True, help="the directory of the programs runtime and request_instructions")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        parser.error("valgrind is not installed")
    print("Instructions in user space, by callgrind")
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as directory:
        well = print_rows("one request, over a memory stream", os.path.join(options.programs, "request_instructions"),
                          REQUESTS, directory)
        well &= print_rows("one operation of the runtime", os.path.join(options.programs, "runtime"), OPERATIONS, directory)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
