#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The TLS table: Weft's demo over TLS, with one worker and with two, beside nginx, h2o, Go and Node where they are installed.

What is given is how much a second of the server's processor time (user and system) is good for: requests on 64 kept
connections (wrk), connections with a full handshake and one request, and connections that go on with a ticket of the one
before (tls_load, 64 at a time; it counts which were resumed: where that is less than 9 of 10, it is said). Then the memory of
an idle connection. All have the same certificate (P-256), TLS 1.3 and X25519. The servers take turns in each round, and the
figures are medians. Two workers run on both cores, with the client beside them; all others on core 0, with the client on core
1. At the end: how evenly two workers share 2,000 connections.
"""
import argparse
import os
import pathlib
import re
import resource
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

from http_table import H2O_CONFIG, NGINX_CONFIG, Server, TICKS, free_port, pinned

HERE = pathlib.Path(__file__).resolve().parent
IDLE_WARM, IDLE_COUNT = 100, 1500


class TlsServer(Server):
    def __init__(self, name, command, port, log, env=None, cores=(0,)):
        super().__init__(name, command, port, log, env)
        if len(cores) > 1:
            os.sched_setaffinity(self.process.pid, os.sched_getaffinity(0))

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def connect(self, context):
        sock = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=10))
        sock.sendall(b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = b""
        while not reply.endswith(b"Hello, World!"):
            part = sock.recv(65536)
            if not part:
                raise RuntimeError("%s: unexpected reply: %r" % (self.name, reply))
            reply += part
        return sock

    def wait(self):
        give_up = time.monotonic() + 10
        while True:
            if self.process.poll() is not None:
                raise RuntimeError("%s ended at once: %s" % (self.name, self.last_words()))
            try:
                return self.connect(self.context()).close()
            except ConnectionRefusedError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def rate(self, run):
        """Of what `run` says it has done, so much in a second of processor time; and what else it says."""
        before = sum(self.cpu())
        count, *more = run()
        return count / (sum(self.cpu()) - before), *more


def wrk(server, seconds):
    command = ["wrk", "-t1", "-c64", "-d%ds" % seconds, "https://127.0.0.1:%d/plaintext" % server.port]
    out = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=pinned(1)).stdout
    return int(re.search(r"(\d+) requests in", out).group(1))


def shake_hands(load, server, seconds, kind):
    """Connections made, and the part of them that was resumed."""
    command = [load, str(server.port), str(seconds), "64", kind]
    out = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=pinned(1)).stdout
    made, resumed, failed = map(int, re.match(r"(\d+) connections, (\d+) resumed, (\d+) failed", out).groups())
    if made == 0 or failed > made / 100:
        raise RuntimeError("%s: %s" % (server.name, out))
    return made, resumed / made


def idle(server):
    """Bytes of a connection that has had one reply; Python's side needs as much, so not too many."""
    context = server.context()
    crowd = [server.connect(context) for _ in range(IDLE_WARM)]
    time.sleep(0.3)
    before = server.memory()
    crowd += [server.connect(context) for _ in range(IDLE_COUNT)]
    time.sleep(0.3)
    used = (server.memory() - before) / IDLE_COUNT
    for sock in crowd:
        sock.close()
    return used


def servers(demo, directory, peers):
    cert, key = directory + "/cert.pem", directory + "/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)

    def one(name, make, **options):
        port = free_port()
        return TlsServer(name, make(port), port, "%s/%s.log" % (directory, name.replace(" ", "-")), **options)

    def weft(*flags):
        return lambda port: [demo, "--listen", "127.0.0.1:%d" % port, "--tls-cert", cert, "--tls-key", key, *flags]

    yield one("Weft", weft())
    yield one("Weft, 2 workers", weft("--workers", "2"), cores=(0, 1))
    if not peers:
        return
    if shutil.which("nginx"):
        def nginx(port):
            config = NGINX_CONFIG.format(dir=directory, port=port).replace(
                "backlog=4096;", "ssl backlog=4096; ssl_certificate %s; ssl_certificate_key %s; ssl_session_tickets on;"
                " ssl_session_cache none; ssl_protocols TLSv1.2 TLSv1.3;" % (cert, key))
            pathlib.Path(directory, "nginx.conf").write_text(config)
            return ["nginx", "-p", directory, "-c", directory + "/nginx.conf"]
        yield one("nginx", nginx)
    if shutil.which("h2o"):
        def h2o(port):
            config = H2O_CONFIG.format(dir=directory, port=port).replace(
                "  port: %d\n" % port, "  port: %d\n  ssl:\n    certificate-file: %s\n    key-file: %s\n    neverbleed: OFF\n"
                % (port, cert, key))
            pathlib.Path(directory, "h2o.conf").write_text(config)
            pathlib.Path(directory, "plaintext.txt").write_text("Hello, World!")
            pathlib.Path(directory, "bytes").mkdir()
            return ["h2o", "-c", directory + "/h2o.conf"]
        yield one("h2o", h2o)
    if shutil.which("go"):
        program = directory + "/go_http"
        subprocess.run(["go", "build", "-o", program, str(HERE / "peers" / "go_http.go")], check=True, capture_output=True)
        yield one("Go", lambda port: [program, str(port), cert, key], env={"GOMAXPROCS": "1"})
    if shutil.which("node"):
        yield one("Node", lambda port: ["node", str(HERE / "peers" / "node_tls.js"), str(port), cert, key])


def balance(server):
    """Of 2,000 connections: the part that the busier of two workers has accepted. By its threads' processor time."""
    def threads():
        times = []
        for task in pathlib.Path("/proc/%d/task" % server.process.pid).iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            times.append((int(task.name), int(fields[11]) + int(fields[12])))
        return dict(times)
    before = threads()
    context = server.context()
    for _ in range(2000):
        server.connect(context).close()
    spent = sorted((after - before.get(task, 0) for task, after in threads().items()), reverse=True)[:2]
    return spent[0] / sum(spent), sum(spent) / TICKS


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", required=True)
    parser.add_argument("--load", required=True, help="the program tls_load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    directory = tempfile.mkdtemp(prefix="weft-tls-")
    running, table = [], {}
    try:
        for server in servers(options.demo, directory, not options.no_peers):
            running.append(server)
            server.wait()
            table[server.name] = ([], [], [], [])
        for _ in range(options.rounds):
            for server in running:
                requests, full, resumed, parts = table[server.name]
                requests += server.rate(lambda: (wrk(server, options.seconds),))
                full.append(server.rate(lambda: shake_hands(options.load, server, options.seconds, "full"))[0])
                rate, part = server.rate(lambda: shake_hands(options.load, server, options.seconds, "resumed"))
                resumed.append(rate)
                parts.append(part)
        print("TLS 1.3: what a second of the server's processor time is good for, and memory\n")
        print("| | requests, kept | connections, full | connections, resumed | idle |\n|---|--:|--:|--:|--:|")
        for server in running:
            *figures, part = [statistics.median(column) for column in table[server.name]]
            mark = "" if part >= 0.9 else " (%.0f %% of them)" % (100 * part)
            print("| %s | %.0f | %.0f | %.0f%s | %.1f KiB |" % (server.name, *figures, mark, idle(server) / 1024))
        part, seconds = balance(running[1])
        print("\nof 2,000 connections to two workers the busier one did %.0f %% (of %.2f s)" % (100 * part, seconds))
    finally:
        for server in running:
            server.end()
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
