# SPDX-License-Identifier: MIT
"""WebSockets with real clients, and G5 of the promise: each of a crowd is closed with 1001 when the server stops.

With TEST_TLS in the environment all of it over TLS.
"""

import asyncio
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

import aiohttp
import pytest
import websockets
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from certificates import Authority
from conftest import SLOW, URL
from crowd import raise_file_limit
from tls_tools import client_context

TLS = 'TEST_TLS' in os.environ
DEFLATES = os.environ.get('WEFT_DEFLATES', '1') == '1'
CLIENTS = pathlib.Path(__file__).parent / 'ws_clients'
SIZES = [0, 1, 125, 126, 65535, 65536, 1000000]
SHAKE = (b'GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
         b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')  # fmt: skip


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('tls')) if TLS else None


@pytest.fixture
def start_demo(start, authority):
    """start_demo('--flag', ...): the demo, by TLS or not; `url` and `trust` are for clients, `connect` is for bytes."""

    def start_one(*flags):
        if TLS:
            flags += ('--tls-cert', '%s/site.pem' % authority.folder, '--tls-key', '%s/site.key' % authority.folder)
            if not (authority.folder / 'site.pem').exists():
                authority.issue('site', 'localhost', 'IP:127.0.0.1')
        server = start('demo', '--listen', '127.0.0.1:0', *flags)
        server.wait_log(URL)
        server.ws_url = '%s://127.0.0.1:%d' % ('wss' if TLS else 'ws', server.port)
        server.trust = client_context(authority) if TLS else None
        return server

    return start_one


@pytest.fixture
def demo(start_demo):
    return start_demo()


def connect(server, address=None, linger=None):
    sock = socket.socket()
    sock.settimeout(30 * SLOW)
    if linger:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    if address:
        sock.bind((address, 0))
    sock.connect(('127.0.0.1', server.port))
    return server.trust.wrap_socket(sock, server_hostname='localhost') if TLS else sock


def text_of(size):
    return ''.join(random.Random(size).choices('abcdefghijklmnopqrstuvwxyzé', k=size))


@pytest.mark.parametrize('compress', [0, 15, 9])
def test_aiohttp(demo, compress):
    async def talk():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(demo.ws_url + '/ws/echo', compress=compress, max_msg_size=0, ssl=demo.trust) as ws:
                assert bool(ws.compress) == bool(compress and DEFLATES)
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
    async def talk():
        async with websockets.connect(demo.ws_url + '/ws/echo', compression=compression, max_size=None, ssl=demo.trust) as ws:
            for size in SIZES:
                for message in (text_of(size // 2), random.Random(size).randbytes(size)):
                    await ws.send(message)
                    assert await ws.recv() == message
            await ws.send(part for part in ['a', 'b', 'c'])
            assert await ws.recv() == 'abc'
            await asyncio.wait_for(await ws.ping(), 5 * SLOW)
        assert ws.close_code == 1000

    asyncio.run(asyncio.wait_for(talk(), 20 * SLOW))


def test_node(demo, authority):
    trust = {'NODE_EXTRA_CA_CERTS': str(authority.cert)} if TLS else {}
    subprocess.run(['node', CLIENTS / 'client.js', demo.ws_url + '/ws/echo'], check=True, timeout=30 * SLOW,
                   env={**os.environ, 'NODE_PATH': '/usr/share/nodejs', **trust})


def test_gorilla(demo, tmp_path, authority):
    env = {**os.environ, 'GO111MODULE': 'off', 'GOPATH': '/usr/share/gocode', 'GOFLAGS': '', 'GOCACHE': str(tmp_path / 'cache')}
    if TLS:
        env['SSL_CERT_FILE'] = str(authority.cert)
    subprocess.run(['go', 'build', '-o', tmp_path / 'client', CLIENTS / 'client.go'], check=True, timeout=120 * SLOW, env=env)
    subprocess.run([tmp_path / 'client', demo.ws_url + '/ws/echo'], check=True, timeout=30 * SLOW, env=env)


IN_A_PAGE = """
    const [url, done] = arguments, sizes = [0, 1, 125, 126, 65535, 65536, 1000000], wanted = [];
    const ws = new WebSocket(url);
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => sizes.forEach((size) => {
        const bytes = new Uint8Array(size).map(() => 32 + Math.random() * 90), text = new TextDecoder().decode(bytes);
        wanted.push(text, text);
        ws.send(text);
        ws.send(bytes);
    });
    ws.onmessage = (event) => {
        const isText = typeof event.data === 'string';
        const text = isText ? event.data : new TextDecoder().decode(event.data);
        if (wanted.length % 2 === (isText ? 1 : 0) || text !== wanted.shift()) done('another message came back');
        if (wanted.length === 0) ws.close(4000, 'done');
    };
    ws.onclose = (event) => done(event.wasClean + ' ' + event.code + ' ' + ws.extensions);
"""


def test_chromium(demo, tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which('chromium')
    for flag in ('--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
                 '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--ignore-certificate-errors',
                 '--user-data-dir=%s' % tmp_path):
        options.add_argument(flag)
    browser = webdriver.Chrome(service=Service(shutil.which('chromedriver')), options=options)
    try:
        browser.set_script_timeout(30 * SLOW)
        browser.get(demo.url)  # whose pages may connect, by their Origin
        ended = browser.execute_async_script(IN_A_PAGE, demo.ws_url + '/ws/echo')
        assert ended.startswith('true 4000 permessage-deflate' if DEFLATES else 'true 4000')
    finally:
        browser.quit()


# ---- raw sockets ----


def shake(server, path=b'/ws/echo'):
    sock = connect(server)
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
    for size in range(len(talk) + 1):
        sock = connect(demo, linger=struct.pack('ii', 1, 0))
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
        except (BlockingIOError, ssl.SSLWantWriteError):
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


def test_g5_each_of_a_crowd_is_closed_with_1001(start_demo):
    count = raise_file_limit(1000 if TLS else 10000)
    demo = start_demo('--drain', '30')
    socks = []
    for i in range(count):
        socks.append(connect(demo, '127.0.0.%d' % (2 + i // 2000)))
        socks[-1].sendall(SHAKE % b'/ws/echo')
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
