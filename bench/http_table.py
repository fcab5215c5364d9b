#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The HTTP table: wrk against Weft's demo, our bare epoll server ("raw") and, where they are installed, nginx and Go.

Each server is pinned to core 0 and wrk to core 1. The servers take turns: one round is one run of wrk against each, and the
figures are medians over the rounds, so that a slow minute of the machine falls on all of them. The processor time is what
the kernel charges the server (user and system, /proc/PID/stat) divided by wrk's count of requests; the ratio to raw is taken
within each round. The bare server's reply is padded to the size of Weft's. "idle" is not speed but memory: how much the
server's own grows for each of many connections that have had one reply and stay open. Ports are free ones, and every process
is ended by its id, also on failure.
"""
import argparse
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 64
SERVER_CORE, WRK_CORE = 0, 1

CASES = {
    "keep-alive": ("keep-alive, 64 connections", None),
    "pipelined": ("pipelined by 16, 64 connections", "pipelined.lua"),
    "browser": ("a browser's head of 600 bytes, 64 connections", "browser.lua"),
}
IDLE = "idle"
IDLE_COUNT = 8000

NGINX_CONFIG = """
daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; default_type text/plain; keepalive_requests 1000000000; keepalive_timeout 600s;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
    scgi_temp_path {dir}/s;
    server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "Hello, World!"; }} }}
}}
"""


def pinned(core):
    """For preexec_fn: runs the child on one core, where the machine has it."""
    def pin():
        if core in os.sched_getaffinity(0):
            os.sched_setaffinity(0, {core})
    return pin


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch_reply(port):
    """One whole reply to GET /plaintext, as bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        return fetch_on(s)


def fetch_on(s):
    s.sendall(b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n")
    reply = b""
    while not reply.endswith(b"Hello, World!"):
        part = s.recv(65536)
        if not part:
            raise RuntimeError("the connection ended in the reply: %r" % reply)
        reply += part
    if not reply.startswith(b"HTTP/1.1 200 OK\r\n"):
        raise RuntimeError("unexpected reply: %r" % reply)
    return reply


class Server:
    """One server process: started on a free port, measured, ended."""

    def __init__(self, name, command, port, log, env=None):
        self.name, self.port = name, port
        self.log = open(log, "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        preexec_fn=pinned(SERVER_CORE), env={**os.environ, **(env or {})})

    def wait_until_it_answers(self):
        give_up = time.monotonic() + 10
        while True:
            if self.process.poll() is not None:
                raise RuntimeError("%s ended at once, status %d: %s" % (self.name, self.process.returncode, self.last_words()))
            try:
                return fetch_reply(self.port)
            except ConnectionRefusedError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)

    def last_words(self):
        return pathlib.Path(self.log.name).read_text(errors="replace").strip()[-500:]

    def cpu(self):
        """Seconds of user and of system time so far, of all its threads."""
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        return int(fields[11]) / TICKS, int(fields[12]) / TICKS

    def memory(self):
        """Bytes of its own: resident and not of a file."""
        text = pathlib.Path("/proc/%d/status" % self.process.pid).read_text(encoding="utf-8", errors="replace")
        return 1024 * int(re.search(r"^RssAnon:\s*(\d+) kB", text, re.MULTILINE).group(1))

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


def go_server(directory):
    """Builds the Go peer; None where there is no Go, or it does not build."""
    if not shutil.which("go"):
        return None
    program = os.path.join(directory, "go_http")
    built = subprocess.run(["go", "build", "-o", program, str(HERE / "peers" / "go_http.go")], check=False,
                           capture_output=True, text=True, timeout=180)
    if built.returncode:
        print("go_http.go does not build, left out: " + built.stderr.strip(), file=sys.stderr)
        return None
    return program


def start_servers(options, directory, servers):
    """Starts all that there are, appending each to `servers` at once, so that the caller can end them whatever happens."""
    def start(name, command, port, env=None):
        servers.append(Server(name, command, port, os.path.join(directory, name + ".log"), env))
        return servers[-1].wait_until_it_answers()

    port = free_port()
    reply = start("weft", [options.demo, "--listen", "127.0.0.1:%d" % port], port)
    port = free_port()
    same = start("raw", [options.raw, "--port", str(port), "--reply-size", str(len(reply))], port)
    if len(same) != len(reply):
        raise RuntimeError("the replies differ in size")
    if options.no_peers:
        return
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx:
        port = free_port()
        config = os.path.join(directory, "nginx.conf")
        pathlib.Path(config).write_text(NGINX_CONFIG.format(dir=directory, port=port))
        start("nginx", [nginx, "-p", directory, "-c", config], port)
    go = go_server(directory)
    if go:
        port = free_port()
        start("go", [go, str(port)], port, {"GOMAXPROCS": "1"})


def run_wrk(port, script, seconds):
    """Returns the number of requests that were answered, and how long it took; raises on any error that wrk saw."""
    command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", "%ds" % seconds, "http://127.0.0.1:%d/plaintext" % port]
    if script:
        command[-1:-1] = ["-s", str(HERE / script)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
                          timeout=seconds + 20, preexec_fn=pinned(WRK_CORE))
    count = re.search(r"(\d+) requests in ([\d.]+)(m?s)", done.stdout)
    errors = re.search(r"(Socket errors|Non-2xx).*", done.stdout)
    if errors or not count or not int(count.group(1)):
        raise RuntimeError("wrk: " + (errors.group(0) if errors else done.stdout + done.stderr))
    return int(count.group(1)), float(count.group(2)) * (0.001 if count.group(3) == "ms" else 1)


def measure(server, script, seconds):
    before = server.cpu()
    requests, took = run_wrk(server.port, script, seconds)
    user, system = (1e6 * (b - a) / requests for a, b in zip(before, server.cpu()))
    return {"rate": requests / took, "user": user, "cpu": user + system}


def run_case(title, script, servers, options):
    """All rounds of one case, and its table."""
    figures = {s.name: [] for s in servers}
    failed = {}
    for s in servers:
        try:
            run_wrk(s.port, script, 1)  # warm
        except (RuntimeError, subprocess.SubprocessError) as error:
            failed[s.name] = error
    for turn in range(options.rounds):
        shift = turn % len(servers)  # nobody is always first
        for s in servers[shift:] + servers[:shift]:
            if s.name in failed:
                continue
            try:
                figures[s.name].append(measure(s, script, options.seconds))
            except (RuntimeError, subprocess.SubprocessError) as error:
                failed[s.name] = error
    print_case(title, servers, figures, failed)
    return failed


def print_case(title, servers, figures, failed):
    print("\n%s" % title)
    print("  %-8s %12s %14s %12s %8s  %s" % ("server", "requests/s", "CPU us/request", "of it user", "x raw", "least-most"))
    for s in servers:
        if s.name in failed:
            print("  %-8s failed: %s" % (s.name, failed[s.name]))
            continue
        own = figures[s.name]
        middle = {key: statistics.median(f[key] for f in own) for key in ("rate", "user", "cpu")}
        line = "  %-8s %12s %14.2f %12.2f" % (s.name, format(round(middle["rate"]), ","), middle["cpu"], middle["user"])
        if "raw" not in failed:
            ratios = [a["cpu"] / b["cpu"] for a, b in zip(own, figures["raw"])]
            line += " %8.2f  %.2f-%.2f" % (statistics.median(ratios), min(ratios), max(ratios))
        print(line)


def open_idle(port, count):
    """Connections that have each had one reply."""
    return [s for s in (socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(count)) if fetch_on(s)]


def run_idle(servers):
    """The memory of idle connections, and its table."""
    count = min(IDLE_COUNT, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128)
    print("\nmemory of each of %s idle connections (the kernel's own is not in it)\n  %-8s %12s" %
          (format(count, ","), "server", "bytes"))
    failed = {}
    for s in servers:
        sockets = []
        try:
            sockets = open_idle(s.port, 64)
            before = s.memory()
            sockets += open_idle(s.port, count)
            print("  %-8s %12s" % (s.name, format(round((s.memory() - before) / count), ",")))
        except (OSError, RuntimeError) as error:
            print("  %-8s failed: %s" % (s.name, error))
            failed[s.name] = error
        finally:
            for each in sockets:
                each.close()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE",
                        help="of %s; all of them by default" % ", ".join([*CASES, IDLE]))
    parser.add_argument("--demo", required=True, help="the program examples/demo")
    parser.add_argument("--raw", required=True, help="the program bench/epoll_server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of one run of wrk")
    parser.add_argument("--no-peers", action="store_true", help="only Weft and raw")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES) - {IDLE}
    if unknown or options.rounds < 1 or options.seconds < 1:
        parser.error("unknown case: %s" % ", ".join(sorted(unknown)) if unknown else "rounds and seconds are 1 or more")
    if not shutil.which("wrk"):
        parser.error("wrk is not installed")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # of the servers too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended then too
    if len(os.sched_getaffinity(0)) < 2:
        print("only one core: server and wrk share it, the figures say little")
    servers, failed = [], {}
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as directory:
        try:
            start_servers(options, directory, servers)
            print("HTTP: %d rounds of %d s each, in turns; medians" % (options.rounds, options.seconds))
            for case in options.cases or [*CASES, IDLE]:
                failed.update(run_idle(servers) if case == IDLE else run_case(*CASES[case], servers, options))
        except (OSError, RuntimeError) as error:
            print("cannot measure: %s" % error, file=sys.stderr)
            return 1
        finally:
            for s in servers:
                s.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
