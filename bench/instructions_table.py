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
    "others": "... plain, another number in the target each time",
    "browsers": "... a browser's, another number each time",
    "echo": "WebSocket, 64 bytes echoed by a loop",
    "served": "WebSocket, 64 bytes echoed by a callback",
    "stream": "the stream and the client alone (in all of these)",
}
OPERATIONS = {  # of bench/runtime: what it is
    "yield_2": "resume and yield, 2 tasks",
    "spawn_one": "group, spawn, run, end, join",
    "spawn_64": "spawn, run, end; 64 in a group",
    "timeout_unused": "deadline set and cleared",
    "sleep_cut": "sleep cancelled by another task",
    "queue_1": "item through a queue of 1",
    "queue_10": "item through a queue of 10",
    "queue_64": "item through a queue of 64",
    "queue_alone": "item put and got by one task",
    "lock": "lock acquired and released",
    "semaphore": "semaphore acquired and released",
    "event": "event set, and an answer by another",
    "select_4": "item by a select over 4 queues",
    "generator_step": "a value from a generator's body",
    "pipeline_step": "a value through range, map, filter",
}
FEW, MANY = 1600, 9600  # multiples of 16 and of 64

# Where an instruction belongs, by the source file it comes from, also when it was inlined elsewhere; the first that fits.
STAGES = (
    ("parse: llhttp", r"llhttp|/api\.c$|smmintrin\.h$"),
    ("parse: ours", r"lib/http/(head|target|field)|emmintrin\.h$"),
    ("frames and messages", r"lib/(ws|crypto|codec)/|wslay"),
    ("route", r"server/(router|routes|pattern)\.c$"),
    ("handler", r"(?<![\w-])bench/"),
    ("reply", r"server/reply\.|lib/base/(format|http_status)\.c$|lib/http/date"),
    ("write", r"server/output\.c$|lib/net/"),
    ("connection and request", r"server/"),
    ("task, group, deadline", r"lib/(task|coro)/"),
    ("memory, lists", r"lib/base/"),
    ("memcpy, strlen and the like", r""),
)


def costs_by_file(path):
    """Instructions by source file, from what callgrind wrote."""
    names, costs, current, skips = {}, {}, "", False
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            found = re.match(r"(fl|fi|fe|cfi|cfl)=\((\d+)\)(?: (.*))?$", line)
            if found:
                name = names.setdefault(found.group(2), found.group(3))
                current = current if line.startswith("c") else name
            elif line.startswith("calls="):
                skips = True  # the next line is the cost of what was called, which stands there too
            elif re.match(r"[+*-]?\d* \d+$", line):
                if not skips:
                    costs[current] = costs.get(current, 0) + int(line.split()[1])
                skips = False
    return costs


def count(program, argument, directory):
    """All user instructions of one run, by source file."""
    out = os.path.join(directory, "callgrind.out")
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, program, argument],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError("%s %s: status %d: %s" % (program, argument, done.returncode, done.stderr.strip()[-500:]))
    costs = costs_by_file(out)
    with open(out, encoding="utf-8", errors="replace") as f:
        total = int(re.search(r"^(?:totals|summary): (\d+)", f.read(), re.MULTILINE).group(1))
    os.unlink(out)
    if sum(costs.values()) != total:
        raise RuntimeError("the files' counts make %d, not %d" % (sum(costs.values()), total))
    return costs


def cost_of_one(program, argument, directory):
    """Instructions of one operation, by source file."""
    few, many = (count(program, "%s=%d" % (argument, n), directory) for n in (FEW, MANY))
    return {name: (cost - few.get(name, 0)) / (MANY - FEW) for name, cost in many.items()}


def measure_rows(title, program, rows, directory):
    """Prints the rows; returns what each cost, by source file, without those that failed."""
    print("\n%s" % title)
    measured = {}
    for argument, words in rows.items():
        try:
            measured[argument] = cost_of_one(program, argument, directory)
            print("  %-52s %8s" % (words, format(round(sum(measured[argument].values())), ",")), flush=True)
        except (RuntimeError, subprocess.SubprocessError) as error:
            print("  %-52s failed: %s" % (words, error), flush=True)
    return measured


def print_stages(measured):
    """What a request costs in each stage: without what the stream and the client cost alone."""
    requests = [name for name in REQUESTS if name in measured and name != "stream"]
    print("\none request by stage, without the stream and the client")
    print("  %-30s" % "" + "".join("%11s" % name for name in requests))
    sums = {}
    for name in requests:
        shared = 1 / 16 if name == "pipelined" else 1  # one trip of the stream serves sixteen
        costs = dict(measured[name])
        for path, cost in measured["stream"].items():
            costs[path] = costs.get(path, 0) - cost * shared
        for path, cost in costs.items():
            stage = next(words for words, pattern in STAGES if re.search(pattern, path))
            sums[stage, name] = sums.get((stage, name), 0) + cost
    for words, _ in STAGES:
        print("  %-30s" % words + "".join("%11s" % format(round(sums.get((words, name), 0)), ",") for name in requests))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", required=True, help="the directory of the programs runtime and request_instructions")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        parser.error("valgrind is not installed")
    print("Instructions in user space, by callgrind")
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as directory:
        requests = measure_rows("one request, over a memory stream",
                                os.path.join(options.programs, "request_instructions"), REQUESTS, directory)
        if "stream" in requests:
            print_stages(requests)
        operations = measure_rows("one operation of the runtime", os.path.join(options.programs, "runtime"), OPERATIONS,
                                  directory)
        well = len(requests) == len(REQUESTS) and len(operations) == len(OPERATIONS)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
