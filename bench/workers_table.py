#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The table of workers: the processor time of a request (user and system) with one worker and with two, and their ratio.

Three servers take turns in each round: one worker, two, and two that cannot run at the same time, for they have one core. The
first two may use all cores, and so may wrk, which runs beside them: so they differ in the number of workers alone. The third is
told beside one worker that has that core, with wrk on the other: what is more there is switching between threads, and what is
more with all cores beyond that is what caches pay for two cores that write to one line. Medians, and ratios within rounds.

Then what it costs that two workers are one server: two of wrk at a time, both against a server with two workers, and one each
against two servers with one. As many connections for each thread, as many threads on the same cores: what differs is what
threads of one process share. The same of the bare epoll server tells how much of that is the kernel's and the machine's.
"""
import argparse
import concurrent.futures
import os
import statistics
import sys
import tempfile

from http_table import CASES, SERVER_CORE, Server, free_port, measure, run_wrk

ALL = None  # cores
ROWS = (("one worker", 1, ALL), ("two workers", 2, ALL), ("one, on one core", 1, SERVER_CORE),
        ("two, on one core", 2, SERVER_CORE))  # fmt: skip
BESIDE = {"two workers": "one worker", "two, on one core": "one, on one core"}


class Crew(Server):
    def __init__(self, demo, name, workers, core, directory):
        port = free_port()
        command = [demo, "--listen", "127.0.0.1:%d" % port, "--workers", str(workers)]
        super().__init__(name, command, port, os.path.join(directory, name + ".log"))
        self.core = core

    def wait_until_it_answers(self):
        super().wait_until_it_answers()
        if self.core is ALL:
            for thread in os.listdir("/proc/%d/task" % self.process.pid):
                os.sched_setaffinity(int(thread), os.sched_getaffinity(0))


def run_case(case, crews, options):
    print("\n%s" % case[0])
    print("  %-18s %12s %14s %8s  %s" % ("", "requests/s", "CPU us/request", "x one", "least-most"))
    figures = {crew.name: [] for crew in crews}
    for crew in crews:
        run_wrk(crew.port, case, "/plaintext", 1, pins=crew.core is not ALL)  # warm
    for turn in range(options.rounds):
        for crew in crews[turn % len(crews):] + crews[:turn % len(crews)]:
            figures[crew.name].append(measure(crew, case, "/plaintext", options.seconds, pins=crew.core is not ALL))
    for crew in crews:
        own = figures[crew.name]
        line = "  %-18s %12s %14.2f" % (crew.name, format(round(statistics.median(f["rate"] for f in own)), ","),
                                        statistics.median(f["cpu"] for f in own))
        if crew.name in BESIDE:
            ratios = [a["cpu"] / b["cpu"] for a, b in zip(own, figures[BESIDE[crew.name]])]
            line += " %8.2f  %.2f-%.2f" % (statistics.median(ratios), min(ratios), max(ratios))
        print(line)


class Raw(Crew):
    def __init__(self, program, name, threads, directory):
        port = free_port()
        command = [program, "--port", str(port), "--reply-size", "130", "--threads", str(threads)]
        Server.__init__(self, name, command, port, os.path.join(directory, name + ".log"))
        self.core = ALL


def measure_two(crews, case, seconds):
    """Microseconds of a request, of all these servers; two of wrk run, against the first and the last."""
    before = [sum(crew.cpu()) for crew in crews]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(run_wrk, crew.port, case, "/plaintext", seconds, False) for crew in (crews[0], crews[-1])]
        requests = sum(load.result()[0] for load in loads)
    return 1e6 * (sum(sum(crew.cpu()) for crew in crews) - sum(before)) / requests


def run_pairs(case, title, one_server, two_servers, options):
    rows = [(measure_two(one_server, case, options.seconds), measure_two(two_servers, case, options.seconds))
            for _ in range(options.rounds)]
    ratios = [one / two for one, two in rows]
    print("  %s: one process with two threads %.2f, two with one each %.2f, ratio %.2f (%.2f-%.2f)" % (
        title, *(statistics.median(column) for column in zip(*rows)), statistics.median(ratios), min(ratios), max(ratios)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", required=True)
    parser.add_argument("--raw", required=True, help="the program bench/epoll_server")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    crews, others = [], []
    with tempfile.TemporaryDirectory() as directory:
        try:
            for row in ROWS:
                crews.append(Crew(options.demo, *row, directory))
                crews[-1].wait_until_it_answers()
            for name in ("keep-alive", "connections"):
                run_case(CASES[name], crews, options)
            others += [Crew(options.demo, "weft%d" % n, 1, ALL, directory) for n in range(2)]
            others += [Raw(options.raw, "raw%d" % n, threads, directory) for n, threads in enumerate((2, 1, 1))]
            for other in others:
                other.wait_until_it_answers()
            print("\nTwo of wrk at a time, 64 connections each, CPU us/request")
            run_pairs(CASES["keep-alive"], "Weft", crews[1:2], others[:2], options)
            run_pairs(CASES["keep-alive"], "bare", others[2:3], others[3:], options)
        finally:
            for crew in crews + others:
                crew.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
