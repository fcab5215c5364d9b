#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The table of WebSockets: echoes of four sizes over 64 connections, against a bare epoll server ("raw"), and idle sockets.

Idle sockets come first, while the servers hold nothing else. The servers take turns on core 0, the load is on core 1;
processor time is what the kernel charges the server, divided by the messages that came back, and the ratio to raw is taken
within each round. Idle memory is what the server's own grows by for each of many sockets, served by a loop (/ws/echo of the
demo) and by callbacks (/idle of examples/http/sockets).
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

import http_table
from http_table import Server, pinned, free_port

SIZES = (64, 1024, 16 * 1024, 1024 * 1024)
CONNECTIONS = 64


def start(name, command, port, folder):
    return Server(name, [str(word) for word in command], port, folder / (name + ".log"))


def load(args, server, path, *words):
    done = subprocess.run([str(args.load), str(server.port), path, *map(str, words)], capture_output=True, text=True,
                          preexec_fn=pinned(1), timeout=120)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (server.name, done.stderr.strip()))
    return int(done.stdout)


def wait_until_it_listens(server):
    import socket
    import time
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise RuntimeError("%s does not listen: %s" % (server.name, server.last_words()))


def measure(args, server, path, size):
    """Messages a second, and microseconds of processor for each."""
    before = sum(server.cpu())
    count = load(args, server, path, "echo", size, CONNECTIONS, args.seconds)
    used = sum(server.cpu()) - before
    return count / args.seconds, 1e6 * used / max(count, 1)


def idle_memory(args, server, path):
    """Bytes of the server's own for each of many idle sockets."""
    before = server.memory()
    client = subprocess.Popen([str(args.load), str(server.port), path, "idle", str(args.idle)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    try:
        if client.stdout.readline() != b"ready\n":
            raise RuntimeError("the idle sockets could not be opened")
        return (server.memory() - before) / args.idle
    finally:
        client.stdin.close()
        client.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the build directory's top")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--idle", type=int, default=8000)
    args = parser.parse_args()
    args.load = args.programs / "bench/ws_load"
    servers = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        try:
            ports = [free_port() for _ in range(3)]
            raw = start("raw", [args.programs / "bench/ws_epoll_server", "--port", ports[0]], ports[0], folder)
            servers.append(raw)
            demo = start("weft", [args.programs / "examples/demo", "--port", ports[1]], ports[1], folder)
            servers.append(demo)
            served = start("served", [args.programs / "examples/http/sockets", "--port", ports[2]], ports[2], folder)
            servers.append(served)
            for server in servers:
                wait_until_it_listens(server)
            print("| idle, %d sockets | bytes a socket |" % args.idle)
            print("|---|--:|")
            print("| a loop, with its stack | %.0f |" % idle_memory(args, demo, "/ws/echo"), flush=True)
            print("| callbacks | %.0f |" % idle_memory(args, served, "/idle"), flush=True)
            print()
            print("| echo, %d connections | raw us | Weft us | x raw | Weft messages/s |" % CONNECTIONS)
            print("|---|--:|--:|--:|--:|")
            for size in SIZES:
                rounds = [(measure(args, raw, "/", size), measure(args, demo, "/ws/echo", size)) for _ in range(args.rounds)]
                ratios = [w[1] / r[1] for r, w in rounds]
                print("| %d B | %.1f | %.1f | %.2f | %.0f |" % (
                    size, statistics.median(r[1] for r, _ in rounds), statistics.median(w[1] for _, w in rounds),
                    statistics.median(ratios), statistics.median(w[0] for _, w in rounds)), flush=True)
        finally:
            for server in servers:
                server.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
