# SPDX-License-Identifier: MIT
"""Thousands of clients in one thread, each with one request in flight: waiting handlers, uploads of which a half is sent,
downloads that nobody has read yet, requests that are sent at the last moment, and WebSockets.

They are spread over 127.0.0.x, so that ports do not run short.
"""

import contextlib
import resource
import select
import socket
import ssl
import time

from stopping import BY_TLS, request, tls_context

PER_ADDRESS = 2000
SPARE = 300  # descriptors of this process and of the server that are for other things
BODY = bytes(range(256)) * 20
DOWNLOAD = 6000000  # more than sockets hold
PIECE = bytes(ord('a') + i % 26 for i in range(10007))
SHAKE = request('/echo', fields='Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n')  # fmt: skip
CLOSED, CLOSE = b'\x88\x12\x03\xe9the server stops', b'\x88\x82\0\0\0\0\x03\xe9'
DOWNLOADED = (PIECE * (DOWNLOAD // len(PIECE) + 1))[:DOWNLOAD]


def raise_file_limit(count):
    """Has this process, and what it starts, open enough files for `count` connections; returns how many it can have. The
    server takes a tenth less than its limit, less 64."""
    needed = (count + SPARE) * 10 // 9 + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        count = (hard - 64) * 9 // 10 - SPARE
        needed = hard
        assert count > 100, 'the hard limit on open files, %d, is too low for this test' % hard
    if soft == resource.RLIM_INFINITY or soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return count


class Member:
    """One client. `first` is sent at once, `rest` at the end; `body` is what must come back."""

    def __init__(self, number):
        self.rest = b''
        if number % 500 == 499:
            self.kind = 'downloads'
            self.first = request('/download/%d' % DOWNLOAD)
            self.body = DOWNLOADED
        elif number % 10 < 7:
            self.kind = 'waits'
            self.first = request('/gate/%d' % number)
            digits = ''.join(str((number + i) % 10) for i in range(10)) * 200
            self.body = ('%d %s\n' % (number, digits)).encode()
        elif number % 10 == 7:
            self.kind = 'uploads'
            self.first = request('/upload', 'POST', 'Content-Length: %d\r\n' % len(BODY), BODY[: len(BODY) // 2])
            self.rest = BODY[len(BODY) // 2 :]
            self.body = b'%d %d\n' % (len(BODY), sum(BODY))
        elif number % 10 == 8:
            self.kind = 'sockets'
            self.first = SHAKE
        else:
            self.kind = 'comes last'
            self.first = b''
            self.rest = request('/hello')
            self.body = b'hello\n'
        self.socket = None
        self.received = bytearray()

    def connect(self, host, port):
        connected = socket.socket()
        if self.kind == 'downloads':
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connected.bind((host, 0))
        connected.settimeout(30)
        connected.connect(('127.0.0.1', port))
        self.socket = tls_context().wrap_socket(connected, suppress_ragged_eofs=False) if BY_TLS else connected
        if self.first:
            self.socket.sendall(self.first)
        while self.kind == 'sockets' and not self.received.endswith(b'\r\n\r\n'):
            self.received += self.socket.recv(4096)
        self.socket.setblocking(False)

    def read(self):
        """False at the end."""
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            while True:  # TLS may hold more than one read takes
                data = self.socket.recv(65536)
                self.received += data
                if not data:
                    return False
                if self.kind == 'sockets' and self.received.endswith(CLOSED):
                    self.socket.send(CLOSE)
        return True

    def fault(self):
        """What is wrong with its reply; None if nothing is."""
        head, _, body = bytes(self.received).partition(b'\r\n\r\n')
        if self.kind == 'sockets':
            return None if head.startswith(b'HTTP/1.1 101 ') and body == CLOSED else 'sockets: %r' % self.received
        if not head.startswith(b'HTTP/1.1 200 OK\r\n'):
            return '%s: %r' % (self.kind, head[:100])
        if b'\r\nContent-Length: %d' % len(self.body) not in head:
            return '%s: no such length: %r' % (self.kind, head)
        return None if body == self.body else '%s: %d bytes, not those expected' % (self.kind, len(body))


class Crowd:
    def __init__(self, port, count):
        self.port = port
        self.members = [Member(number) for number in range(count)]
        self.sockets = sum(1 for m in self.members if m.kind == 'sockets')
        self.waiting = sum(1 for m in self.members if m.kind not in ('comes last', 'sockets'))
        self.faults = []

    def begin(self):
        for number, m in enumerate(self.members):
            m.connect('127.0.0.%d' % (1 + number // PER_ADDRESS), self.port)

    def send(self, kind):
        """Has those of a kind send what is still to come."""
        for m in self.members:
            if m.kind == kind:
                assert m.socket.send(m.rest) == len(m.rest)

    def finish(self, seconds):
        """Reads all replies to the end of each connection."""
        end = time.monotonic() + seconds
        left = {m.socket.fileno(): m for m in self.members}
        with select.epoll() as epoll:
            for fd in left:
                epoll.register(fd, select.EPOLLIN)
            while left and time.monotonic() < end:
                for fd, _ in epoll.poll(1):
                    self.read(left, epoll, fd)
        self.faults += ['%s: no end within %d s' % (m.kind, seconds) for m in left.values()]

    def read(self, left, epoll, fd):
        m = left[fd]
        try:
            if m.read():
                return
        except OSError as error:
            self.faults.append('%s: %r after %d bytes' % (m.kind, error, len(m.received)))
        fault = m.fault()
        if fault:
            self.faults.append(fault)
        m.received.clear()
        epoll.unregister(fd)
        m.socket.close()
        del left[fd]

    def close(self):
        for m in self.members:
            if m.socket:
                m.socket.close()
