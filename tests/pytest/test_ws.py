# SPDX-License-Identifier: MIT
"""WebSockets with real clients, and G5 of the promise: each of a crowd is closed with 1001 when the server stops."""

import asyncio
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import aiohttp
import pytest

from conftest import SLOW, URL
from crowd import raise_file_limit

CLIENTS = pathlib.Path(__file__).parent / 'ws_clients'
GORILLA = pathlib.Path('/usr/share/gocode/src/github.com/gorilla/websocket')
SIZES = [0, 1, 125, 126, 65535, 65536, 1000000]
SHAKE = (b'GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
         b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')  # fmt: skip


def text_of(size):
    return ''.join(random.Random(size).choices('abcdefghijklmnopqrstuvwxyzé', k=size))


@pytest.mark.parametrize('compress', [0, 15, 9])
def test_aiohttp(demo, compress):
    async def talk():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(demo.url + '/ws/echo', compress=compress, max_msg_size=0) as ws:
                assert bool(ws.compress) == bool(compress)
                for size in SIZES:
                    await ws.send_str(text_of(size // 2))
                    assert (await ws.receive_str()) == text_of(size // 2)
                    data = random.Random(size).randbytes(size)
                    await ws.send_bytes(data)
                    assert (await ws.receive_bytes()) == data
                await ws.ping(b'there?')
                await ws.close(code=4000, message=b'done')
                assert ws.close_code == 4000

    asyncio.run(asyncio.wait_for(talk(), 20 * SLOW))


@pytest.mark.parametrize('compression', [None, 'deflate'])
def test_websockets(demo, compression):
    websockets = pytest.importorskip('websockets')

    async def talk():
        url = demo.url.replace('http', 'ws') + '/ws/echo'
        async with websockets.connect(url, compression=compression, max_size=None) as ws:
            for size in SIZES:
                for message in (text_of(size // 2), random.Random(size).randbytes(size)):
                    await ws.send(message)
                    assert await ws.recv() == message
            await ws.send(part for part in ['a', 'b', 'c'])
            assert await ws.recv() == 'abc'
            await asyncio.wait_for(await ws.ping(), 5 * SLOW)
        assert ws.close_code == 1000

    asyncio.run(asyncio.wait_for(talk(), 20 * SLOW))


@pytest.mark.skipif(not shutil.which('node') or not os.path.isdir('/usr/share/nodejs/ws'), reason='no node-ws')
def test_node(demo):
    subprocess.run(['node', CLIENTS / 'client.js', demo.url.replace('http', 'ws') + '/ws/echo'], check=True, timeout=30 * SLOW,
                   env={**os.environ, 'NODE_PATH': '/usr/share/nodejs'})


@pytest.mark.skipif(not shutil.which('go') or not GORILLA.is_dir(), reason='no golang-github-gorilla-websocket-dev')
def test_gorilla(demo, tmp_path):
    env = {**os.environ, 'GO111MODULE': 'off', 'GOPATH': '/usr/share/gocode', 'GOFLAGS': '', 'GOCACHE': str(tmp_path / 'cache')}
    subprocess.run(['go', 'build', '-o', tmp_path / 'client', CLIENTS / 'client.go'], check=True, timeout=120 * SLOW, env=env)
    subprocess.run([tmp_path / 'client', demo.url.replace('http', 'ws') + '/ws/echo'], check=True, timeout=30 * SLOW)


# ---- raw sockets ----


def shake(server, path=b'/ws/echo'):
    sock = server.connect()
    sock.sendall(SHAKE % path)
    data = b''
    while b'\r\n\r\n' not in data:
        data += sock.recv(4096)
    assert data.startswith(b'HTTP/1.1 101 ') and data.endswith(b'\r\n\r\n')
    return sock


def read_to_end(sock):
    data = b''
    while True:
        more = sock.recv(65536)
        if not more:
            return data
        data += more


def test_resets_at_every_step(demo):
    """A client that resets after each byte of a conversation leaves nothing behind, and harms nobody."""
    steady = shake(demo)
    talk = SHAKE % b'/ws/echo' + b'\x81\x82\0\0\0\0ab\x01\x81\0\0\0\0c\x89\x80\0\0\0\0\x80\x81\0\0\0\0d\x88\x82\0\0\0\0\x03\xe8'
    for size in range(0, len(talk) + 1, 3):
        sock = demo.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        sock.sendall(talk[:size])
        sock.close()
    steady.sendall(b'\x81\x82\0\0\0\0ok\x88\x80\0\0\0\0')
    assert read_to_end(steady) == b'\x81\x02ok\x88\x00'
    steady.close()
    assert demo.stop() == 0 and 'error' not in demo.log


def test_a_client_that_never_reads_is_held_back(demo):
    """Nothing grows for it, and others are not delayed."""
    greedy = shake(demo)
    greedy.setblocking(False)
    frame = b'\x82\xff' + struct.pack('>Q', 100000) + b'\0\0\0\0' + bytes(100000)
    sent, ends = 0, time.monotonic() + 2 * SLOW
    while time.monotonic() < ends and sent < 64 * 1024 * 1024:
        try:
            at = sent % len(frame)
            sent += greedy.send(frame[at : at + 65536])
        except BlockingIOError:
            time.sleep(0.02)
    assert sent < 40 * 1024 * 1024  # what the sockets' buffers take, and no more
    other = shake(demo)
    other.sendall(b'\x81\x82\0\0\0\0ok')
    assert other.recv(10) == b'\x81\x02ok'
    with open('/proc/%d/status' % demo.process.pid) as status:
        rss = int(re.search(r'VmRSS:\s+(\d+)', status.read()).group(1))
    assert rss < 100 * 1024 * SLOW
    greedy.close()
    other.close()


def test_g5_each_of_a_crowd_is_closed_with_1001(start):
    count = raise_file_limit(10000)
    demo = start('demo', '--listen', '127.0.0.1:0', '--drain', '30')
    demo.wait_log(URL)
    socks = []
    for i in range(count):
        sock = socket.socket()
        sock.bind(('127.0.0.%d' % (2 + i // 2000), 0))
        sock.settimeout(30 * SLOW)
        sock.connect(('127.0.0.1', demo.port))
        sock.sendall(SHAKE % b'/ws/echo')
        socks.append(sock)
    for sock in socks:
        data = b''
        while not data.endswith(b'\r\n\r\n'):
            data += sock.recv(4096)
    began = time.monotonic()
    demo.send(signal.SIGTERM)
    for sock in socks:
        data = b''
        while len(data) < 20:
            data += sock.recv(4096)
        assert data == b'\x88\x12\x03\xe9the server stops'
        sock.sendall(b'\x88\x82\0\0\0\0\x03\xe9')
    for sock in socks:
        assert sock.recv(100) == b''  # an end, not a reset
        sock.close()
    assert demo.wait(40) == 0
    assert time.monotonic() - began < 25 * SLOW
    assert '%d WebSockets closed' % count in demo.log and ' 0 connections cut' in demo.log
