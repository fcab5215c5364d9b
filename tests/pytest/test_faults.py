# SPDX-License-Identifier: MIT
"""The demo, where the system refuses what it rarely refuses, and where clients behave at their worst, over real sockets."""

import errno
import os
import pathlib
import resource
import socket
import struct
import time

import pytest

from conftest import BUILD, SLOW, read_all, read_reply, URL

GET = b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n'
IS_PLAIN = SLOW == 1  # a sanitizer wants to be loaded first


def start_faulty(start, call, number, every):
    library = BUILD / 'tests/pytest/libfaulty.so'
    return start('demo', '--listen', '127.0.0.1:0',
                 env={'LD_PRELOAD': str(library), 'FAULTY': '%s %d %d' % (call, number, every)})  # fmt: skip


@pytest.mark.skipif(not IS_PLAIN, reason='a sanitizer wants to be loaded first')
@pytest.mark.parametrize('number', [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.EPROTO])
def test_accepting_fails_now_and_then(start, number):
    server = start_faulty(start, 'accept4', number, 3)
    for i in range(12):
        with server.connect() as sock:
            sock.sendall(GET % b'/hello/%d' % i)
            assert read_reply(sock)[1] == b'Hello, %d!' % i
    assert server.stop() == 0
    is_short = number not in (errno.ECONNABORTED, errno.EPROTO)
    assert ('cannot accept' in server.log) == is_short, server.log
    assert server.log.count('cannot accept') <= 12, server.log


@pytest.mark.skipif(not IS_PLAIN, reason='a sanitizer wants to be loaded first')
@pytest.mark.parametrize('call, number', [('write', errno.ENOBUFS), ('write', errno.EAGAIN), ('write', errno.EINTR),
                                          ('read', errno.EINTR), ('read', errno.EAGAIN)])  # fmt: skip
def test_what_may_be_tried_again_is(start, call, number):
    server = start_faulty(start, call, number, 2)
    with server.connect() as sock:
        for i in range(20):
            sock.sendall(GET % b'/hello/%d' % i)
            assert read_reply(sock)[1] == b'Hello, %d!' % i
        sock.sendall(GET % b'/download/1000000')
        assert len(read_reply(sock)[1]) == 1000000
        sock.sendall(b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n' + b'x' * 300000)
        assert read_reply(sock)[1] == b'x' * 300000
    assert server.stop() == 0


@pytest.mark.skipif(not IS_PLAIN, reason='a sanitizer wants to be loaded first')
@pytest.mark.parametrize('number, every', [(errno.ENOSPC, 2), (errno.ENOMEM, 3), (errno.ENOSPC, 1)])
def test_what_the_kernel_does_not_poll_is_tried(start, number, every):
    """As more is polled than epoll may watch: slower, but served; even if nothing at all can be polled."""
    server = start_faulty(start, 'epoll_ctl', number, every)
    for i in range(4):
        with server.connect() as sock:
            for _ in range(2):
                sock.sendall(GET % b'/hello/%d' % i)
                assert read_reply(sock)[1] == b'Hello, %d!' % i
            sock.sendall(GET % b'/download/10000000')
            time.sleep(0.1)
            assert len(read_reply(sock)[1]) == 10000000
    assert server.stop() == 0
    said = server.log.count('a connection cannot be polled: ')
    assert said == 1 if every == 1 else 1 <= said <= 20, server.log


@pytest.mark.skipif(not IS_PLAIN, reason='a sanitizer wants to be loaded first')
@pytest.mark.parametrize('call, number', [('write', errno.EPIPE), ('write', errno.ECONNRESET), ('read', errno.ECONNRESET),
                                          ('read', errno.ETIMEDOUT)])  # fmt: skip
def test_what_is_final_ends_that_connection_alone(start, call, number):
    server = start_faulty(start, call, number, 7)
    right = 0
    for i in range(50):
        try:
            with server.connect() as sock:
                sock.sendall(GET % b'/hello/%d' % i)
                assert read_reply(sock)[1] == b'Hello, %d!' % i
                right += 1
        except (AssertionError, ConnectionError) as problem:
            assert 'Hello' not in str(problem), problem  # nothing wrong was said
    assert 35 <= right < 50
    assert server.stop() == 0
    assert 'error' not in server.log


def descriptors(server):
    return len(os.listdir('/proc/%d/fd' % server.process.pid))


def memory(server):
    """Kilobytes of its own."""
    text = pathlib.Path('/proc/%d/smaps_rollup' % server.process.pid).read_text()
    return int(text.split('Anonymous:')[1].split()[0])


def test_five_thousand_connect_and_reset(demo):
    """At the connect, in the head, while the handler works, in the reply: no descriptor and no memory is left behind."""
    asks = [b'', b'GET / HT', GET % b'/plaintext', GET % b'/sleep/2000', GET % b'/download/10000000',
            b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx']

    def batch(count):
        for i in range(count):
            sock = demo.connect()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            sock.sendall(asks[i % len(asks)])
            sock.close()
        with demo.connect() as sock:
            sock.sendall(GET % b'/plaintext')
            assert read_reply(sock)[1] == b'Hello, World!'

    def settle(least):
        ends = time.monotonic() + 10 * SLOW
        while descriptors(demo) > least and time.monotonic() < ends:
            time.sleep(0.02)
        return descriptors(demo)

    batch(1)  # what is opened with the first connection stays
    before = descriptors(demo)
    batch(499)
    assert settle(before) <= before
    first = memory(demo)
    batch(4500)
    assert settle(before) <= before
    if IS_PLAIN:  # a sanitizer keeps what was freed
        assert memory(demo) < first + 9 * 1024  # 4 MiB of blocks for output are kept
    assert demo.stop() == 0


@pytest.mark.skipif(not IS_PLAIN, reason='the limit is on what a sanitizer takes as well')
def test_memory_is_out(start):
    """A client that wants more than there is gets a 503 or its connection closed, and the next is served."""
    limit = 400 * 1024 * 1024
    server = start('demo', '--listen', '127.0.0.1:0', limits=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    server.wait_log(URL)
    socks = []
    for _ in range(400):
        sock = server.connect()
        sock.sendall(b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n' + b'x' * 100000)
        socks.append(sock)
    answers = set()
    for sock in socks:
        sock.shutdown(socket.SHUT_WR)
        try:
            answers.add(read_all(sock)[:12])
        except ConnectionError:
            answers.add(b'')
        sock.close()
    assert answers <= {b'', b'HTTP/1.1 400', b'HTTP/1.1 503', b'HTTP/1.1 500'}, answers
    with server.connect() as sock:
        sock.sendall(GET % b'/plaintext')
        assert read_reply(sock)[1] == b'Hello, World!'
    assert server.stop() == 0
