#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""Broadcasts of examples/broadcast beside the least that a server can do (bench/epoll_broadcast.c, "raw") and, where they are
installed, Go with gorilla, Node's ws and aiohttp.

What is given is the processor time of all the server's threads for each delivery, also as a multiple of the raw server's, and
the time until the last member has heard a message. The servers take turns in each round, each started anew; the figures are
medians of the rounds. Then: how long a request on another connection takes meanwhile, what TLS adds (each member's copy is
encrypted by itself), and what a second worker gains.
"""
import argparse
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from http_table import HERE, free_port, python_with

CASES = [(1000, 64, 1), (1000, 1024, 1), (10000, 64, 1), (10000, 1024, 1), (1000, 64, 32)]  # members, bytes, burst
DELIVERIES = 200000  # of one measurement
PEERS = ("Go, gorilla", "Node, ws", "aiohttp")


class Server:
    def __init__(self, command, env=None):
        """`command` has the port where it says PORT; without, the program prints the one that it has taken."""
        self.port = free_port() if "PORT" in command else None
        self.process = subprocess.Popen([str(self.port) if word == "PORT" else str(word) for word in command],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **(env or {})})

    def wait(self, is_raw):
        while self.port is None:
            line = (self.process.stdout if is_raw else self.process.stderr).readline()
            if not line:
                raise RuntimeError("%s ended at once" % self.process.args[0])
            match = re.search(r"^(?:\d+|.*listening on \S+:\d+)$", line.strip())
            self.port = int(re.search(r"\d+$", line.strip()).group()) if match else None
        for _ in range(1000):
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise RuntimeError("%s does not listen" % self.process.args[0])

    def end(self):
        self.process.terminate()
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def measure(options, name, members, size, burst, *extra):
    """Microseconds of processor for a delivery; p50 and p99 to the last, and of requests meanwhile, in milliseconds."""
    server = Server(*options.servers[name])
    try:
        server.wait(name == "raw")
        rounds = max(5, DELIVERIES // (members * burst))
        load = [options.load, str(server.port), str(server.process.pid), str(members), str(size), str(burst), str(rounds)]
        done = subprocess.run([*load, *extra], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise RuntimeError("broadcast_load: " + done.stderr.strip())
        return [float(word) for word in done.stdout.split()]
    finally:
        server.end()


def medians(rows):
    return [statistics.median(column) for column in zip(*rows)]


def find_servers(options, folder):
    listen = ["--listen", "127.0.0.1:0"]
    options.servers = {
        "raw": ([options.raw],),
        "Weft": ([options.weft, *listen],),
        "Weft, 2 workers": ([options.weft, *listen, "--workers", "2"],),
        "Weft, TLS": ([options.weft, "--listen", "https://127.0.0.1:0", "--tls-self-signed"],),
    }
    if options.no_peers:
        return
    if shutil.which("go"):
        program = os.path.join(folder, "go_broadcast")
        env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
        built = subprocess.run(["go", "build", "-o", program, HERE / "peers/go_broadcast.go"], check=False, env=env,
                               capture_output=True, text=True, timeout=180)
        if built.returncode == 0:
            options.servers["Go, gorilla"] = ([program, "PORT"],)
        else:
            print("go_broadcast.go does not build, left out: " + built.stderr.strip(), file=sys.stderr)
    if shutil.which("node") and pathlib.Path("/usr/share/nodejs/ws").exists():
        options.servers["Node, ws"] = (["node", HERE / "peers/node_broadcast.cjs", "PORT"], {"NODE_PATH": "/usr/share/nodejs"})
    python = python_with("aiohttp")
    if python:
        options.servers["aiohttp"] = ([python, HERE / "peers/aiohttp_broadcast.py", "PORT"],)


def print_case(options, members, size, burst):
    names = ["raw", "Weft"] + [name for name in PEERS if name in options.servers and burst == 1]
    rows = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            if name not in rows:
                continue
            try:
                rows[name].append(measure(options, name, members, size, burst))
            except RuntimeError as error:
                if name in ("raw", "Weft"):
                    raise
                print("left out: %s: %s" % (name, error), file=sys.stderr)
                del rows[name]
    for name, measured in rows.items():
        middle = medians(measured)
        ratio = statistics.median(row[0] / raw[0] for raw, row in zip(rows["raw"], measured))
        print("| %d | %d | %d | %s | %.2f | %.2f | %.1f | %.1f |" % (members, size, burst, name, middle[0], ratio, middle[1],
                                                                     middle[2]), flush=True)


def print_pairs(options, title, other, cases, extra=(), extra_of_both=()):
    """What changes from Weft with one worker and without TLS, in turns."""
    for members, size in cases:
        rows = [(measure(options, "Weft", members, size, 1, *extra_of_both),
                 measure(options, other, members, size, 1, *extra, *extra_of_both)) for _ in range(options.rounds)]
        one, two = medians(row[0] for row in rows), medians(row[1] for row in rows)
        print("| %s, %d B to %d | %.2f | %.2f | %.1f | %.1f | %.2f |" % (
            title, size, members, one[0], two[0], one[1], two[1], statistics.median(b[1] / a[1] for a, b in rows)), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weft", required=True)
    parser.add_argument("--raw", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", help="taken as the other tables take it; this one counts deliveries")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        find_servers(options, folder)
        print("| members | bytes | in bursts of | server | us a delivery | x raw | to the last, p50 ms | p99 ms |")
        print("|--:|--:|--:|---|--:|--:|--:|--:|")
        for case in CASES:
            print_case(options, *case)
        asked = [measure(options, "Weft", 10000, 64, 1, "/") for _ in range(options.rounds)]
        print("\nA request on another connection while 10,000 are being broadcast to: p50 %.2f ms, p99 %.2f ms (aim: 5 ms)." %
              tuple(medians(row[3:5] for row in asked)))
        print("\n| | us a delivery | then | to the last, p50 ms | then | ratio of these |")
        print("|---|--:|--:|--:|--:|--:|")
        print_pairs(options, "TLS", "Weft, TLS", [(1000, 64), (1000, 1024)], ["--tls"])
        print_pairs(options, "two workers", "Weft, 2 workers", [(10000, 64)])
        print_pairs(options, "two workers, members read behind", "Weft, 2 workers", [(10000, 64)], (), ["--behind"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
