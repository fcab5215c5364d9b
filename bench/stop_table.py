#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The stop, measured on the demo: how many connections it loses under load, and how long it takes with many idle ones.

Under load: clients connect without end, each for one request, while the server gets SIGTERM. A connection is lost when it was
connected (the kernel had completed it) and then got no whole reply; one that is refused is not. It is measured as it is and
with the socket filter refused (by a filter of system calls, x86-64 alone), in turns: what is lost then, the filter saves.

Idle: each connection has had a reply and stays open. Its client closes when the server does, or takes no notice.
"""
import argparse
import errno
import pathlib
import platform
import select
import signal
import socket
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/pytest"))
sys.dont_write_bytecode = True

from crowd import raise_file_limit  # noqa: E402  (of the tests)
from stopping import Server, refuse_filters, request  # noqa: E402

REQUEST, REPLY_END = request("/plaintext"), b"Hello, World!"
BEFORE, AFTER = 0.15, 0.15  # seconds of load before and after the signal


class Load:
    """Clients that connect, ask once and go, `width` at a time."""

    def __init__(self, port, width, network):
        self.port, self.width = port, width
        self.host = "127.0.%d.1" % network  # another one for each stop: ports do not run short
        self.counts = {"answered": 0, "refused": 0, "lost": 0}
        self.epoll = select.epoll()
        self.clients = {}  # by descriptor: socket, is it connected

    def knock(self):
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        client.bind((self.host, 0))
        client.connect_ex(("127.0.0.1", self.port))
        self.clients[client.fileno()] = [client, False]
        self.epoll.register(client.fileno(), select.EPOLLOUT)

    def done(self, client, what):
        self.counts[what] += 1
        self.epoll.unregister(client.fileno())
        del self.clients[client.fileno()]
        client.close()

    def go_on(self, client, is_connected):
        if not is_connected:
            error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error == errno.ECONNREFUSED:
                return self.done(client, "refused")
            self.clients[client.fileno()][1] = True
            client.send(REQUEST)  # raises when it has been reset
            return self.epoll.modify(client.fileno(), select.EPOLLIN)
        return self.done(client, "answered" if client.recv(1000).endswith(REPLY_END) else "lost")

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while len(self.clients) < self.width:
                self.knock()
            for fd, _ in self.epoll.poll(0.01):
                client, is_connected = self.clients[fd]
                try:
                    self.go_on(client, is_connected)
                except OSError:
                    self.done(client, "lost")

    def settle(self):
        """Those that are connected get their answer; those that wait for a new SYN are let go."""
        self.width = 0
        end = time.monotonic() + 3
        while time.monotonic() < end and any(is_connected for _, is_connected in self.clients.values()):
            self.run(0.02)
        for client, is_connected in list(self.clients.values()):
            self.counts["lost"] += is_connected
            client.close()
        self.epoll.close()


def stop_under_load(program, before, width, network):
    server = Server("--log-level", "debug", program=program, before=before)
    try:
        load = Load(server.port, width, network)
        load.run(BEFORE)
        began = server.signal()
        load.run(AFTER)
        load.settle()
        if server.wait(30) != 0:
            raise RuntimeError("the server's status is not 0:\n" + server.log)
        if (before is None) == ("is refused" in server.log):
            raise RuntimeError("the filter was not refused, or was:\n" + server.log)
        return load.counts, time.monotonic() - began
    finally:
        server.end()


def lost_table(options):
    kinds = {"with the filter": None}
    if platform.machine() == "x86_64":
        kinds["filter refused"] = refuse_filters
    totals = {kind: {"answered": 0, "refused": 0, "lost": 0, "stops": 0} for kind in kinds}
    for turn in range(options.stops):
        for number, (kind, before) in enumerate(kinds.items()):
            counts, _ = stop_under_load(options.demo, before, options.width, 1 + (2 * turn + number) % 200)
            for what, count in counts.items():
                totals[kind][what] += count
            totals[kind]["stops"] += counts["lost"] > 0
    print("connections lost in %d stops under load, %d clients at a time" % (options.stops, options.width))
    print("  %-18s %10s %10s %10s %18s" % ("", "answered", "refused", "lost", "stops that lost"))
    for kind, n in totals.items():
        print("  %-18s %10d %10d %10d %18d" % (kind, n["answered"], n["refused"], n["lost"], n["stops"]))


def stop_idle(program, count, closes):
    """Seconds to the last FIN, and to the exit; and resets."""
    server = Server(program=program)
    clients = {}
    try:
        for number in range(count):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=("127.0.0.%d" % (
                1 + number // 5000), 0))
            client.sendall(REQUEST)
            if not client.recv(1000).endswith(REPLY_END):
                raise RuntimeError("no whole reply")
            clients[client.fileno()] = client
        resets, last, left = 0, 0, count
        with select.epoll() as epoll:
            for fd in clients:
                epoll.register(fd, select.EPOLLIN)
            began = server.signal()
            while left > 0:
                for fd, _ in epoll.poll(1):
                    try:
                        clients[fd].recv(100)
                    except ConnectionResetError:
                        resets += 1
                    epoll.unregister(fd)
                    left -= 1
                    last = time.monotonic() - began
                    if closes:
                        clients.pop(fd).close()
        status = server.wait(30)
        took = time.monotonic() - began
        if status != 0:
            raise RuntimeError("the server's status is %d" % status)
        return last, took, resets
    finally:
        for client in clients.values():
            client.close()
        server.end()


def idle_table(options):
    count = raise_file_limit(options.idle)
    print("a stop with %s idle connections, seconds" % format(count, ","))
    print("  %-24s %12s %12s %10s" % ("clients that", "last FIN", "exit", "resets"))
    for name, closes in {"close then": True, "take no notice": False}.items():
        last, took, resets = stop_idle(options.demo, count, closes)
        print("  %-24s %12.2f %12.2f %10d" % (name, last, took, resets))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--demo", required=True, help="the program examples/demo")
    parser.add_argument("--stops", type=int, default=50, help="under load, of each kind")
    parser.add_argument("--width", type=int, default=128, help="clients at a time")
    parser.add_argument("--idle", type=int, default=10000, help="idle connections")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended then too
    try:
        idle_table(options)
        print()
        lost_table(options)
    except (OSError, RuntimeError, AssertionError) as error:
        print("cannot measure: %s" % error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
