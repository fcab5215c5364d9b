#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The table of WebSockets: echoes of four sizes over 64 connections, against a bare epoll server ("raw"), and idle sockets.

Idle sockets come first, while the servers hold nothing else: as many as the system's limit of open files lets a server have,
up to 50,000. The servers take turns on core 0, the load is on core 1; processor time is what the kernel charges the server,
divided by the messages that came back, and the ratio to raw is taken within each round. Idle memory is what the server's own
grows by for each of many sockets; ours are served by a loop (/ws/echo of the demo) and by callbacks (/idle of
examples/http/sockets).
"""
import argparse
import os
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from http_table import HERE, Server, free_port, pinned, python_with

SIZES = (64, 1024, 16 * 1024, 1024 * 1024)
CONNECTIONS = 64
OURS = ("raw", "weft", "served")
GORILLA = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}


def load(args, server, path, *words):
    done = subprocess.run([str(args.load), str(server.port), path, *map(str, words)], capture_output=True, text=True,
                          preexec_fn=pinned(1), timeout=120)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (server.name, done.stderr.strip()))
    return int(done.stdout)


def wait_until_it_listens(server):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
            return
        except ConnectionRefusedError:
            if server.process.poll() is not None:
                break
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


def sockets_to_hold(wanted):
    """As many as a server takes by default with the limit of open files raised as far as it goes: nine tenths, less 64."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, int(hard * 0.9) - 64 - 16)


def go_server(directory):
    """Builds the peer in Go; None where there is no Go, or no gorilla."""
    program = directory / "go_ws"
    if not shutil.which("go"):
        return None
    built = subprocess.run(["go", "build", "-o", program, HERE / "peers/go_ws.go"], check=False, capture_output=True, text=True,
                           timeout=180, env={**os.environ, **GORILLA})
    if built.returncode:
        print("go_ws.go does not build, left out: " + built.stderr.strip(), file=sys.stderr)
        return None
    return program


def peers(args, directory):
    """(name, command without the port, environment) of those that are installed."""
    lws, node, python, go = args.programs / "bench/lws_ws", shutil.which("node"), python_with("aiohttp"), go_server(directory)
    if lws.exists():
        yield "lws", [lws], {}
    if node and os.path.isdir("/usr/share/nodejs/ws"):
        yield "node", [node, HERE / "peers/node_ws.js"], {"NODE_PATH": "/usr/share/nodejs"}
    if go:
        yield "go", [go], {"GOMAXPROCS": "1"}
    if python:
        yield "aiohttp", [python, HERE / "peers/aiohttp_ws.py"], {}


def start_servers(args, directory, servers):
    """Appends (server, path) to `servers`: raw, weft, served and the peers, each once it listens."""
    def start(name, command, path, env=None):
        port = free_port()
        server = Server(name, [str(word) for word in command] + [str(port)], port, directory / (name + ".log"), env)
        servers.append((server, path))
        wait_until_it_listens(server)

    start("raw", [args.programs / "bench/ws_epoll_server", "--port"], "/")
    start("weft", [args.programs / "examples/demo", "--port"], "/ws/echo")
    start("served", [args.programs / "examples/http/sockets", "--port"], "/idle")
    for name, command, env in [] if args.no_peers else peers(args, directory):
        try:
            start(name, command, "/", env)
        except RuntimeError as error:
            print("left out: %s" % error, file=sys.stderr)
            servers.pop()[0].end()


def print_idle(args, servers):
    print("| %s idle sockets | bytes a socket |" % format(args.idle, ","))
    print("|---|--:|")
    for server, path in servers:
        try:
            print("| %s | %.0f |" % (server.name, idle_memory(args, server, path)), flush=True)
        except RuntimeError as error:
            print("| %s | failed: %s |" % (server.name, error), flush=True)


def print_echoes(args, servers, size):
    rounds = {server.name: [] for server, _ in servers}
    failed = {}  # of the peers: one that echoes something else is no reason to measure nobody
    for turn in range(args.rounds):
        shift = turn % len(servers)  # nobody is always first
        for server, path in servers[shift:] + servers[:shift]:
            if server.name in failed:
                continue
            try:
                rounds[server.name].append(measure(args, server, path, size))
            except RuntimeError as error:
                if server.name in OURS:
                    raise
                failed[server.name] = error
    for server, _ in servers:
        if server.name in failed:
            print("| %d B | %s | failed: %s | | |" % (size, server.name, failed[server.name]), flush=True)
            continue
        own = rounds[server.name]
        ratios = [a[1] / b[1] for a, b in zip(own, rounds["raw"])]
        print("| %d B | %s | %.1f | %.2f | %s |" % (
            size, server.name, statistics.median(row[1] for row in own), statistics.median(ratios),
            format(round(statistics.median(row[0] for row in own)), ",")), flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the build directory's top")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--idle", type=int, default=50000, help="sockets, or fewer where the limit of open files is lower")
    parser.add_argument("--no-peers", action="store_true")
    args = parser.parse_args()
    args.load = args.programs / "bench/ws_load"
    args.idle = sockets_to_hold(args.idle)
    servers = []
    with tempfile.TemporaryDirectory() as directory:
        try:
            start_servers(args, pathlib.Path(directory), servers)
            print_idle(args, servers)
            print("\n| echo, %d connections | server | CPU us a message | x raw | messages/s |" % CONNECTIONS)
            print("|---|---|--:|--:|--:|")
            for size in SIZES:
                print_echoes(args, servers, size)
        finally:
            for server, _ in servers:
                server.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
