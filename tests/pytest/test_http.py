# SPDX-License-Identifier: MIT
"""The demo, with real clients over real sockets."""

import asyncio
import hashlib
import os
import signal
import socket
import struct
import subprocess

import aiohttp
import pytest

from by_tls import BY_TLS, SCHEME, context
from conftest import SLOW, read_all, read_reply, URL

GET = b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n'


def curl(*arguments, data=None):
    return subprocess.run(['curl', '-sS', '--max-time', str(20 * SLOW), *arguments], input=data, check=True,
                          stdout=subprocess.PIPE).stdout


# ---- curl

def test_curl_get(demo):
    assert curl(demo.url + '/plaintext') == b'Hello, World!'
    assert curl(demo.url + '/hello/%C3%A9%2F%25') == 'Hello, é/%!'.encode()
    assert curl(demo.url + '/json') == b'{"message":"Hello, World!"}'
    assert b'<html' in curl(demo.url + '/')


def test_curl_http_1_0(demo):
    shown = curl('-i', '--http1.0', demo.url + '/plaintext')
    assert shown.startswith(b'HTTP/1.1 200 OK\r\n') and b'\r\nConnection: close\r\n' in shown
    assert shown.endswith(b'\r\n\r\nHello, World!')


def test_curl_head(demo):
    shown = curl('-I', demo.url + '/plaintext')
    assert b'\r\nContent-Length: 13\r\n' in shown and shown.endswith(b'\r\n\r\n')


def test_curl_status(demo):
    for arguments, status in ((['/none'], b'404'), (['-X', 'DELETE', '/json'], b'405'), (['-X', 'BREW', '/'], b'501'),
                              (['-X', 'OPTIONS', '/echo'], b'204'), (['/sleep/x'], b'400'), (['-H', 'Host:', '/'], b'400')):
        path = arguments.pop()
        assert curl('-o', '/dev/null', '-w', '%{http_code}', *arguments, demo.url + path) == status, (arguments, path)


def test_curl_keeps_the_connection(demo):
    urls = [demo.url + '/hello/%d' % i for i in range(20)]
    out = curl('-w', ' %{num_connects}\n', *urls).decode().split('\n')
    assert out[:20] == ['Hello, %d! %d' % (i, i == 0) for i in range(20)]


def test_curl_large_post_with_expect(demo):
    data = os.urandom(1024 * 1024)  # as large as a body may be; curl asks with Expect: 100-continue from 1 MiB on
    assert curl('-H', 'Expect: 100-continue', '--data-binary', '@-', demo.url + '/echo', data=data) == data


def test_curl_post_that_is_too_large(demo):
    data = bytes(1024 * 1024 + 1)
    shown = curl('-H', 'Expect: 100-continue', '-w', '%{http_code} %{size_upload}', '-o', '/dev/null', '--data-binary', '@-',
                 demo.url + '/echo', data=data).split()
    assert shown == [b'413', b'0']  # refused before it was sent


def test_curl_type_comes_back(demo):
    shown = curl('-i', '-H', 'Content-Type: text/x', '-d', 'abc', demo.url + '/echo')
    assert b'\r\nContent-Type: text/x\r\n' in shown and shown.endswith(b'\r\n\r\nabc')


# ---- aiohttp

def test_aiohttp_a_hundred_at_once(demo):
    async def one(session, i):
        body = hashlib.sha256(b'%d' % i).digest() * (1 + i * 97 % 700)
        for _ in range(5):
            async with session.get('/hello/%d' % i) as reply:
                assert reply.status == 200 and await reply.text() == 'Hello, %d!' % i
            async with session.post('/echo', data=body) as reply:
                assert reply.status == 200 and await reply.read() == body
            async with session.get('/sleep/%d' % (i % 20)) as reply:
                assert await reply.text() == 'slept %d ms\n' % (i % 20)

    async def everything():
        async with aiohttp.ClientSession(demo.url, connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(one(session, i) for i in range(100)))

    asyncio.run(everything())
    assert demo.stop() == 0
    assert 'stopped: 1500 requests served' in demo.log


def test_a_thousand_connections_at_once(start):
    count = 200 if BY_TLS else 1000  # there it is this client that needs the time
    demo = start('demo', '--listen', '127.0.0.1:0')
    demo.wait_log(URL)

    async def one(i):
        reader, writer = await asyncio.open_connection('127.0.0.1', demo.port, ssl=context() if BY_TLS else None)
        await asyncio.sleep(0.3)  # until all are there
        for k in range(2):
            writer.write(GET % (b'/hello/%d-%d' % (i, k)))
            head = await reader.readuntil(b'\r\n\r\n')
            body = b'Hello, %d-%d!' % (i, k)
            assert head.startswith(b'HTTP/1.1 200 OK\r\n') and await reader.readexactly(len(body)) == body
        writer.close()

    async def everything():
        await asyncio.wait_for(asyncio.gather(*(one(i) for i in range(count))), 30 * SLOW)

    asyncio.run(everything())
    assert demo.stop() == 0
    assert '%d requests served on %d connections' % (2 * count, count) in demo.log


# ---- raw sockets

def test_pipelining(demo):
    with demo.connect() as sock:
        sock.sendall(b''.join(GET % (b'/hello/%d' % i) for i in range(1000)))
        replies = read_reply(sock, 1000)
        assert [body for _, body in replies] == [b'Hello, %d!' % i for i in range(1000)]


def test_pipelined_bodies_in_odd_pieces(demo):
    data = b''.join(b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s' % (i, b'x' * i) for i in range(200))
    with demo.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), 997):
            sock.sendall(data[at:at + 997])
        assert [len(body) for _, body in read_reply(sock, 200)] == list(range(200))


def test_half_close(demo):
    with demo.connect() as sock:
        sock.sendall(GET % b'/sleep/100' + GET % b'/plaintext')
        sock.shutdown(socket.SHUT_WR)
        shown = read_all(sock)
        assert shown.count(b'HTTP/1.1 200 OK') == 2 and shown.endswith(b'\r\n\r\nHello, World!')


@pytest.mark.parametrize('garbage', [b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', b'\x00' * 100, b'GET\n\n', b'\r\n\r\n',
                                     b'A' * 100000, b'GET / HTTP/1.1\r\nHost: a\r\nX: ' + b'y' * 50000],
                         ids=['tls', 'zeros', 'line feeds', 'empty lines', 'a long line', 'a long field'])
def test_garbage(demo, garbage):
    with demo.connect() as sock:
        try:
            sock.sendall(garbage + GET % b'/plaintext')
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        shown = read_all(sock)  # not lost to a reset
        assert shown.startswith(b'HTTP/1.1 4') and shown.count(b'HTTP/1.1') == 1 and b'\r\nConnection: close\r\n' in shown
    with demo.connect() as sock:
        sock.sendall(GET % b'/plaintext')
        assert read_reply(sock)[1] == b'Hello, World!'


def test_resets_do_no_harm(demo):
    for i in range(100):
        sock = demo.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        sock.sendall([b'GET / HT', GET % b'/sleep/1000', b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc', b'',
                      GET % b'/' * 100][i % 5])
        sock.close()
    with demo.connect() as sock:
        sock.sendall(GET % b'/plaintext')
        assert read_reply(sock)[1] == b'Hello, World!'
    assert demo.stop() == 0  # and the handlers were cancelled: nothing was waited for
    assert ' error ' not in demo.log


# ---- where it listens

def test_unix_socket(start, tmp_path):
    path = tmp_path / 'weft.sock'
    demo = start('demo', '--listen', 'unix:%s' % path)
    demo.wait_log('listening on unix:')
    assert curl('--unix-socket', str(path), SCHEME + '://a/plaintext') == b'Hello, World!'
    assert demo.stop() == 0
    assert not path.exists()


def test_ipv6(start):
    try:
        socket.socket(socket.AF_INET6).bind(('::1', 0))
    except OSError:
        pytest.skip('no ::1 here')
    demo = start('demo', '--listen', '[::1]:0')
    port = int(demo.wait_log(SCHEME + r'://\[::1\]:(\d+)').group(1))
    assert curl('-g', '%s://[::1]:%d/plaintext' % (SCHEME, port)) == b'Hello, World!'


def test_everywhere(start):
    demo = start('hello', '--port', '0')
    assert curl(demo.url + '/x') == b'Hello, x!'
    assert curl(demo.url + '/') == b'Hello, Anonymous!'


def test_several_addresses(start, tmp_path):
    path = tmp_path / 'weft.sock'
    demo = start('demo', '--listen', '127.0.0.1:0', '--listen', 'unix:%s' % path, '--listen', '127.0.0.1:0')
    demo.wait_log('(?s)listening on .*listening on .*listening on ')
    ports = [int(line.rsplit(':', 1)[1]) for line in demo.log.splitlines() if SCHEME + '://127.0.0.1:' in line]
    for port in ports:
        assert curl('%s://127.0.0.1:%d/plaintext' % (SCHEME, port)) == b'Hello, World!'
    assert len(set(ports)) == 2
    assert demo.stop(signal.SIGINT) == 0


# ---- descriptors

def test_descriptors_run_out(start):
    import resource
    demo = start('demo', '--listen', '127.0.0.1:0', limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24)))
    demo.wait_log(URL)
    socks = [demo.connect() for _ in range(40)]
    demo.wait_log('warning')
    with_reply = 0
    for sock in socks[:8]:
        sock.sendall(GET % b'/plaintext')
        assert read_reply(sock)[1] == b'Hello, World!'
        with_reply += 1
    for sock in socks[:30]:
        sock.close()
    for sock in socks[30:]:  # they were kept waiting, and are served now
        sock.sendall(GET % b'/plaintext')
        assert read_reply(sock)[1] == b'Hello, World!'
        sock.close()
    assert demo.stop() == 0
    assert demo.log.count('warning') < 10, demo.log
