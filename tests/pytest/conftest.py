# SPDX-License-Identifier: MIT
"""Starts the real programs, and ends them, whatever a test did."""

import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

import by_tls
from by_tls import BY_TLS, SCHEME, wrapped

BUILD = pathlib.Path(os.environ['WEFT_BUILD'])
SLOW = float(os.environ.get('WEFT_TIME_FACTOR', '1'))  # under a sanitizer everything takes longer
URL = re.compile(r'listening on (?:https?://(\S+):(\d+)|unix:(\S+))')


class Server:
    """A program under test. `log` is what it has written to standard error so far."""

    def __init__(self, path, arguments, env, limits):
        clean = {name: value for name, value in os.environ.items() if not name.startswith('WEFT_')}
        if 'TEST_WORKERS' in os.environ:  # the whole suite with so many
            clean['WEFT_WORKERS'] = os.environ['TEST_WORKERS']
        if BY_TLS:
            _, clean['WEFT_TLS_CERT'], clean['WEFT_TLS_KEY'] = map(str, by_tls.site())
        self.log = ''
        self.process = subprocess.Popen([path, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={**clean, **env}, preexec_fn=limits)
        self.out = ''
        self.readers = [threading.Thread(target=self._read, args=(self.process.stderr, 'log')),
                        threading.Thread(target=self._read, args=(self.process.stdout, 'out'))]
        for reader in self.readers:
            reader.start()

    def _read(self, pipe, name):
        for line in iter(pipe.readline, b''):
            setattr(self, name, getattr(self, name) + line.decode(errors='replace'))
        pipe.close()

    def wait_log(self, pattern, seconds=10):
        """Waits until a line matches; returns the match."""
        ends = time.monotonic() + seconds * SLOW
        while True:
            match = re.search(pattern, self.log)
            if match:
                return match
            if time.monotonic() > ends or (self.process.poll() is not None and not self.readers[0].is_alive()):
                match = re.search(pattern, self.log)
                assert match, 'no %r in the log:\n%s' % (pattern, self.log)
                return match
            time.sleep(0.005)

    @property
    def port(self):
        return int(self.wait_log(URL).group(2))

    @property
    def url(self):
        return '%s://127.0.0.1:%d' % (SCHEME, self.port)

    def send(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=10):
        """The exit status, once it has ended."""
        status = self.process.wait(seconds * SLOW)
        for reader in self.readers:
            reader.join()
        return status

    def stop(self, number=signal.SIGTERM, seconds=10):
        self.send(number)
        return self.wait(seconds)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def connect(self, timeout=10):
        return wrapped(socket.create_connection(('127.0.0.1', self.port), timeout * SLOW))


@pytest.fixture
def start():
    """start('demo', '--flag', ..., env={}, limits=function): a Server of build/examples, or of programs."""
    servers = []

    def start_one(name, *arguments, env=None, limits=None):
        path = BUILD / 'examples' / name
        if not path.exists():
            path = BUILD / 'tests' / 'pytest' / name
        servers.append(Server(path, arguments, env or {}, limits))
        return servers[-1]

    yield start_one
    for server in servers:
        server.end()


@pytest.fixture
def demo(start):
    server = start('demo', '--listen', '127.0.0.1:0')
    server.wait_log(URL)
    return server


def read_all(sock):
    """All bytes until the peer's end."""
    data = b''
    while True:
        more = sock.recv(65536)
        if not more:
            return data
        data += more


def read_reply(sock, count=1):
    """Whole replies of declared length, as (head, body) pairs; one pair for count 1."""
    replies, data = [], b''
    while len(replies) < count:
        head, separator, rest = data.partition(b'\r\n\r\n')
        if separator:
            length = re.search(rb'(?i)\r\nContent-Length: (\d+)', head)
            size = int(length.group(1)) if length else 0
            if len(rest) >= size:
                replies.append((head, rest[:size]))
                data = rest[size:]
                continue
        more = sock.recv(65536)
        assert more, 'the connection ended after %r' % data
        data += more
    assert not data
    return replies[0] if count == 1 else replies


def is_readable(sock, seconds):
    if BY_TLS:
        return sock.is_readable(seconds)
    return bool(select.select([sock], [], [], seconds)[0])
