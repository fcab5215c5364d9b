# SPDX-License-Identifier: MIT
"""Thousands of clients in one thread, each with one request in flight: waiting handlers, uploads of which a half is sent,
downloads that nobody has read yet, and requests that are sent at the last moment.

They are spread over 127.0.0.x, so that ports do not run short.
"""

import resource
import select
import socket
import time

from stopping import request

PER_ADDRESS = 2000
SPARE = 300  # descriptors of this process and of the server that are for other things
BODY = bytes(range(256)) * 20
DOWNLOAD = 6000000  # more than sockets hold
PIECE = bytes(ord('a') + i % 26 for i in range(10007))
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
        else:
            self.kind = 'comes last'
            self.first = b''
            self.rest = request('/hello')
            self.body = b'hello\n'
        self.socket = None
        self.received = bytearray()

    def fault(self):
        """What is wrong with its reply; None if nothing is."""
        head, _, body = bytes(self.received).partition(b'\r\n\r\n')
        if not head.startswith(b'HTTP/1.1 200 OK\r\n'):
            return '%s: %r' % (self.kind, head[:100])
        if b'\r\nContent-Length: %d' % len(self.body) not in head:
            return '%s: no such length: %r' % (self.kind, head)
        return None if body == self.body else '%s: %d bytes, not those expected' % (self.kind, len(body))


class Crowd:
    def __init__(self, port, count):
        self.port = port
        self.members = [Member(number) for number in range(count)]
        self.waiting = sum(1 for m in self.members if m.kind != 'comes last')
        self.faults = []

    def begin(self):
        for number, m in enumerate(self.members):
            host = '127.0.0.%d' % (1 + number // PER_ADDRESS)
            m.socket = socket.socket()
            if m.kind == 'downloads':
                m.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            m.socket.bind((host, 0))
            m.socket.settimeout(30)
            m.socket.connect(('127.0.0.1', self.port))
            if m.first:
                m.socket.sendall(m.first)
            m.socket.setblocking(False)

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
            data = m.socket.recv(65536)
        except OSError as error:
            self.faults.append('%s: %r after %d bytes' % (m.kind, error, len(m.received)))
            data = b''
        if data:
            m.received += data
            return
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
