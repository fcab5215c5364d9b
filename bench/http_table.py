#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The HTTP table: wrk against Weft's demo, our bare epoll server ("raw") and, where they are installed, nginx, h2o, Go's
net/http, Node's http and aiohttp.

Each server is pinned to core 0 and wrk to core 1. The servers take turns: one round is one run of wrk against each, and the
figures are medians over the rounds, so that a slow minute of the machine falls on all of them. The processor time is what
the kernel charges the server (user and system, /proc/PID/stat) divided by wrk's count of requests; the ratio to raw is taken
within each round. The bare server's reply is padded to the size of Weft's. "idle" is not speed but memory: how much the
server's own grows for each of many connections that have had one reply and stay open; "gigabyte" sends and takes 1 GiB on one
connection and looks at the memory after it. Ports are free ones, and every process is ended by its id, also on failure.
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

# Title, wrk's script, size of the reply's body (None: "Hello, World!"), is there a connection for each request?
CASES = {
    "keep-alive": ("keep-alive, 64 connections", None, None, False),
    "pipelined": ("pipelined by 16, 64 connections", "pipelined.lua", None, False),
    "browser": ("a browser's head of 600 bytes, 64 connections", "browser.lua", None, False),
    "connections": ("a connection for each request, 64 at a time", None, None, True),
    "1k": ("replies of 1 KiB, 64 connections", None, 1024, False),
    "64k": ("replies of 64 KiB, 64 connections", None, 65536, False),
}
SIZES = sorted({case[2] for case in CASES.values() if case[2]})
IDLE, GIGABYTE, ROUTER = "idle", "gigabyte", "router"
IDLE_COUNT = 8000
GIB = 1 << 30

NGINX_CONFIG = """
daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
    access_log off; default_type text/plain; keepalive_requests 1000000000; keepalive_timeout 600s;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
    scgi_temp_path {dir}/s;
    server {{
        listen 127.0.0.1:{port} backlog=4096; sendfile on; tcp_nopush on; open_file_cache max=16;
        location /bytes/ {{ root {dir}; }}
        location / {{ return 200 "Hello, World!"; }}
    }}
}}
"""
H2O_CONFIG = """
num-threads: 1
max-connections: 20000
http1-request-timeout: 600
user: root
pid-file: {dir}/h2o.pid
error-log: {dir}/h2o-errors
listen:
  host: 127.0.0.1
  port: {port}
hosts:
  default:
    paths:
      /bytes: {{ file.dir: {dir}/bytes }}
      /plaintext: {{ file.file: {dir}/plaintext.txt }}
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
    if not reply.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError("unexpected reply: %r" % reply)
    return reply


class Server:
    """One server process: started on a free port, measured, ended. Where `bytes` is something like "/bytes/%d", it sends so
    many."""

    def __init__(self, name, command, port, log, env=None, bytes=None):
        self.name, self.port, self.bytes = name, port, bytes
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


def python_with(module):
    """A Python that has the module, or None."""
    for python in ("/usr/bin/python3", sys.executable):
        if os.path.exists(python) and not subprocess.run([python, "-c", "import " + module], capture_output=True,
                                                         check=False).returncode:
            return python
    return None


def write_files(directory):
    """What servers of files send."""
    path = pathlib.Path(directory)
    (path / "bytes").mkdir()
    for size in SIZES:
        (path / "bytes" / str(size)).write_bytes(b"x" * size)
    with open(path / "bytes" / str(GIB), "wb") as f:
        f.truncate(GIB)
    (path / "plaintext.txt").write_text("Hello, World!")


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
    def start(name, command, port, env=None, bytes="/bytes/%d"):
        servers.append(Server(name, command, port, os.path.join(directory, name + ".log"), env, bytes))
        try:
            return servers[-1].wait_until_it_answers()
        except RuntimeError as error:
            if name in ("weft", "raw"):
                raise
            print("left out: %s" % error, file=sys.stderr)
            servers.pop().end()
        return None

    write_files(directory)
    port = free_port()
    reply = start("weft", [options.demo, "--listen", "127.0.0.1:%d" % port], port, bytes="/download/%d")
    port = free_port()
    same = start("raw", [options.raw, "--port", str(port), "--reply-size", str(len(reply))], port, bytes=None)
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
    h2o = shutil.which("h2o")
    if h2o:
        port = free_port()
        config = os.path.join(directory, "h2o.conf")
        pathlib.Path(config).write_text(H2O_CONFIG.format(dir=directory, port=port))
        start("h2o", [h2o, "-c", config], port)
    node = shutil.which("node")
    if node:
        port = free_port()
        start("node", [node, str(HERE / "peers" / "node_http.mjs"), str(port)], port)
    python = python_with("aiohttp")
    if python:
        port = free_port()
        start("aiohttp", [python, str(HERE / "peers" / "aiohttp_http.py"), str(port)], port)
    go = go_server(directory)
    if go:
        port = free_port()
        start("go", [go, str(port)], port, {"GOMAXPROCS": "1"})


def milliseconds(shown):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", shown).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def run_wrk(port, case, path, seconds, pins=True):
    """Returns the number of requests that were answered, how long it took, and the median and the 99th percentile of the
    latency in ms; raises on any error that wrk saw."""
    _, script, _, closes = case
    command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", "%ds" % seconds, "--latency",
               "http://127.0.0.1:%d%s" % (port, path)]
    if script:
        command[-1:-1] = ["-s", str(HERE / script)]
    if closes:
        command[-1:-1] = ["-H", "Connection: close"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
                          timeout=seconds + 20, preexec_fn=pinned(WRK_CORE) if pins else None)
    count = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)\b", done.stdout)
    errors = re.search(r"(Socket errors|Non-2xx).*", done.stdout)
    if errors or not count or not int(count.group(1)):
        raise RuntimeError("wrk: " + (errors.group(0) if errors else done.stdout + done.stderr))
    took = float(count.group(2)) * {"us": 1e-6, "ms": 0.001, "s": 1, "m": 60}[count.group(3)]
    latency = [milliseconds(re.search(r"^\s+%d%%\s+(\S+)" % part, done.stdout, re.MULTILINE).group(1)) for part in (50, 99)]
    return int(count.group(1)), took, *latency


def measure(server, case, path, seconds, pins=True):
    before = server.cpu()
    requests, took, p50, p99 = run_wrk(server.port, case, path, seconds, pins)
    user, system = (1e6 * (b - a) / requests for a, b in zip(before, server.cpu()))
    return {"rate": requests / took, "user": user, "cpu": user + system, "p50": p50, "p99": p99}


def run_case(case, all_servers, options, directory):
    """All rounds of one case, and its table. Where the replies are of another kind, raw is another one for the time."""
    title, _, size, closes = case
    servers, raw = list(all_servers), None
    if size or closes:
        port = free_port()
        command = [options.raw, "--port", str(port)] + (["--body", str(size)] if size else ["--close"])
        raw = Server("raw", command, port, os.path.join(directory, "raw-now.log"))
        servers = [raw if s.name == "raw" else s for s in servers]
        time.sleep(0.3)
    try:
        return run_rounds(title, case, servers, options)
    finally:
        if raw:
            raw.end()


def run_rounds(title, case, servers, options):
    figures = {s.name: [] for s in servers}
    failed = {}

    def path_of(s):
        return s.bytes % case[2] if case[2] and s.bytes else "/plaintext"

    for s in servers:
        try:
            run_wrk(s.port, case, path_of(s), 1)  # warm
        except (RuntimeError, subprocess.SubprocessError) as error:
            failed[s.name] = error
    for turn in range(options.rounds):
        shift = turn % len(servers)  # nobody is always first
        for s in servers[shift:] + servers[:shift]:
            if s.name in failed:
                continue
            try:
                figures[s.name].append(measure(s, case, path_of(s), options.seconds))
            except (RuntimeError, subprocess.SubprocessError) as error:
                failed[s.name] = error
    print_case(title, servers, figures, failed)
    return failed


def print_case(title, servers, figures, failed):
    print("\n%s" % title)
    print("  %-8s %12s %14s %12s %9s %9s %8s  %s" % ("server", "requests/s", "CPU us/request", "of it user", "p50 ms", "p99 ms",
                                                  "x raw", "least-most"))
    for s in servers:
        if s.name in failed:
            print("  %-8s failed: %s" % (s.name, failed[s.name]))
            continue
        own = figures[s.name]
        middle = {key: statistics.median(f[key] for f in own) for key in ("rate", "user", "cpu", "p50", "p99")}
        line = "  %-8s %12s %14.2f %12.2f %9.2f %9.2f" % (s.name, format(round(middle["rate"]), ","), middle["cpu"],
                                                         middle["user"], middle["p50"], middle["p99"])
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


def download(s):
    """1 GiB from it; seconds."""
    began, left, buffer = time.monotonic(), GIB, bytearray(1 << 18)
    with socket.create_connection(("127.0.0.1", s.port), timeout=60) as sock:
        sock.sendall(("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (s.bytes % GIB)).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65536)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head[:80])
        left -= len(head.partition(b"\r\n\r\n")[2])
        while left > 0:
            count = sock.recv_into(buffer)
            if not count:
                raise RuntimeError("the download ended %d bytes early" % left)
            left -= count
    return time.monotonic() - began


def upload(s):
    """1 GiB to it; seconds."""
    began, piece = time.monotonic(), bytes(1 << 18)
    with socket.create_connection(("127.0.0.1", s.port), timeout=60) as sock:
        sock.sendall(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % GIB)
        for _ in range(GIB // len(piece)):
            sock.sendall(piece)
        if not sock.recv(65536).startswith(b"HTTP/1.1 200 "):
            raise RuntimeError("the upload failed")
    return time.monotonic() - began


def run_gigabyte(servers):
    """1 GiB down, and up where there is a route for it (Weft's, which makes a SHA-256 of it)."""
    print("\n1 GiB on one connection\n  %-8s %5s %9s %10s %16s" % ("server", "", "seconds", "CPU s", "memory grew, KiB"))
    failed = {}
    for s in servers:
        for name, run in (("down", download), ("up", upload)):
            if not s.bytes or (name == "up" and s.name not in ("weft", "go")):
                continue
            memory, cpu = s.memory(), sum(s.cpu())
            try:
                took = run(s)
                print("  %-8s %5s %9.2f %10.2f %16s" % (s.name, name, took, sum(s.cpu()) - cpu,
                                                        format((s.memory() - memory) // 1024, ",")))
            except (OSError, RuntimeError) as error:
                print("  %-8s %5s failed: %s" % (s.name, name, error))
                failed[s.name] = error
    return failed


def run_router(options):
    """The look-up among 500 routes (bench/router.c)."""
    program = pathlib.Path(options.raw).parent / "router"
    done = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60, preexec_fn=pinned(SERVER_CORE))
    print("\na route among 500, ns (aim: 150)")
    for line in done.stdout.splitlines():
        name, best, median = line.split()
        print("  %-28s %8s best %8s median" % (name.replace("_", " "), best, median))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    others = (IDLE, GIGABYTE, ROUTER)
    parser.add_argument("cases", nargs="*", metavar="CASE",
                        help="of %s; all of them by default" % ", ".join([*CASES, *others]))
    parser.add_argument("--demo", required=True, help="the program examples/demo")
    parser.add_argument("--raw", required=True, help="the program bench/epoll_server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of one run of wrk")
    parser.add_argument("--no-peers", action="store_true", help="only Weft and raw")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES) - set(others)
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
            for case in options.cases or [*CASES, *others]:
                if case == ROUTER:
                    run_router(options)
                elif case in CASES:
                    failed.update(run_case(CASES[case], servers, options, directory))
                else:
                    failed.update(run_idle(servers) if case == IDLE else run_gigabyte(servers))
        except (OSError, RuntimeError) as error:
            print("cannot measure: %s" % error, file=sys.stderr)
            return 1
        finally:
            for s in servers:
                s.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
