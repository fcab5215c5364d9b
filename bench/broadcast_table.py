#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""Broadcasts of examples/broadcast beside the least that a server can do (bench/epoll_broadcast.c): processor time for each
delivery, as a multiple of the raw server's, and the time until the last member has heard; in turns, medians of the rounds.
And how long a request on another connection takes meanwhile."""
import argparse
import re
import statistics
import subprocess
import sys

CASES = [(1000, 64, 1), (1000, 1024, 1), (10000, 64, 1), (10000, 1024, 1), (1000, 64, 32)]  # members, bytes, burst
DELIVERIES = 200000  # of one measurement


def start(command, is_raw):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline() if is_raw else process.stderr.readline()
    return process, re.search(r'(\d+)$', line.strip()).group(1)


def measure(options, is_raw, members, size, burst, path=None):
    command = [options.raw] if is_raw else [options.weft, '--listen', '127.0.0.1:0']
    server, port = start(command, is_raw)
    try:
        rounds = max(5, DELIVERIES // (members * burst))
        load = [options.load, port, str(server.pid), str(members), str(size), str(burst), str(rounds)]
        done = subprocess.run(load + ([path] if path else []), capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            sys.exit('broadcast_load: ' + done.stderr)
        return [float(word) for word in done.stdout.split()]
    finally:
        server.terminate()
        server.communicate()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--weft', required=True)
    parser.add_argument('--raw', required=True)
    parser.add_argument('--load', required=True)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', help='taken as the other tables take it; this one counts deliveries')
    options = parser.parse_args()
    print('| members | bytes | in bursts of | raw, us a delivery | ours | x raw | to the last, p50 ms (raw) | p99 ms (raw) |')
    print('|--:|--:|--:|--:|--:|--:|--:|--:|')
    for members, size, burst in CASES:
        raw, ours = [], []
        for _ in range(options.rounds):
            raw.append(measure(options, True, members, size, burst))
            ours.append(measure(options, False, members, size, burst))
        middle = [[statistics.median(column) for column in zip(*rows)] for rows in (raw, ours)]
        ratio = statistics.median(b[0] / a[0] for a, b in zip(raw, ours))
        print('| %d | %d | %d | %.2f | %.2f | %.2f | %.0f (%.0f) | %.0f (%.0f) |' % (
            members, size, burst, middle[0][0], middle[1][0], ratio, middle[1][1], middle[0][1], middle[1][2], middle[0][2]),
            flush=True)  # fmt: skip
    asked = [measure(options, False, 10000, 64, 1, path='/') for _ in range(options.rounds)]
    print('\nA request on another connection during broadcasts to 10,000: p50 %.2f ms, p99 %.2f ms.' % (
        statistics.median(row[3] for row in asked), statistics.median(row[4] for row in asked)))  # fmt: skip


main()
