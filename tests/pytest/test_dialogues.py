# SPDX-License-Identifier: MIT
"""The wire scripts of tests/server, played the other way round: here they play the server, before the clients that people have.

What a script makes the client say is played to our server by the script's own test, which demands its replies byte for byte.
Here the same bytes are said to real clients, whole, one byte at a time and, one of each kind, split at each byte: each must
find the status and the body that the framing says, and go on with the same connection exactly when the reply allows it."""

import asyncio
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import pytest

from conftest import BUILD, SLOW

CLIENTS = pathlib.Path(__file__).parent / 'clients'
WHOLE, BYTES = -1, -2  # else: split there
PAUSE = 0.0003  # seconds between two parts: they are read one by one, most of the time


class Reply:
    """One reply with what comes before it (100), and what a client must find."""

    def __init__(self, data, is_for_head, status, body, closes):
        self.data, self.is_for_head, self.status, self.body, self.closes = data, is_for_head, status, body, closes
        self.is_split = False  # at each byte

    @property
    def method(self):
        return 'HEAD' if self.is_for_head else 'GET'

    @property
    def kind(self):
        """What a client must tell apart; refusals are of one kind."""
        framing = tuple(word in self.data for word in (b'\r\nContent-Length: ', b'\r\nTransfer-Encoding: ', b'\r\n0\r\nX-'))
        return self.is_for_head, min(self.status, 400), self.closes, self.has_interim, framing

    @property
    def has_interim(self):
        return self.data.startswith(b'HTTP/1.1 1')


def read_chunks(data):
    """The payload, and how many bytes of data are the whole body."""
    at, payload = 0, b''
    while True:
        line = data.index(b'\r\n', at)
        size, at = int(data[at:line], 16), line + 2
        if size == 0:
            end = data.index(b'\r\n' if data[at:at + 2] == b'\r\n' else b'\r\n\r\n', at)
            return payload, end + (2 if end == at else 4)
        payload, at = payload + data[at:at + size], at + size + 2


def split_replies(data, is_for_head):
    """Cuts what a server says into replies (RFC 9112 6.3). The first answers a HEAD, or not."""
    replies, start, at = [], 0, 0
    while at < len(data):
        head_end = data.index(b'\r\n\r\n', at) + 4
        head = data[at:head_end]
        status = int(re.match(rb'HTTP/1\.1 (\d\d\d) ', head).group(1))
        at = head_end
        if status < 200:
            continue
        closes, body = b'\r\nConnection: close\r\n' in head, b''
        length = re.search(rb'\r\nContent-Length: (\d+)\r\n', head)
        if is_for_head or status in (204, 304):
            pass
        elif b'\r\nTransfer-Encoding: chunked\r\n' in head:
            body, size = read_chunks(data[at:])
            at += size
        elif length:
            body = data[at:at + int(length.group(1))]
            at += int(length.group(1))
        else:
            assert closes
            body, at = data[at:], len(data)
        replies.append(Reply(data[start:at], is_for_head, status, body, closes))
        start, is_for_head = at, False
    return replies


@pytest.fixture(scope='module')
def replies():
    """Each reply that a script expects, once."""
    found = {}
    for name in ('scripts', 'dialogues'):
        told = subprocess.run([BUILD / 'tests/server' / ('test_server_' + name), '--tell'], capture_output=True, text=True,
                              check=True, timeout=60)  # fmt: skip
        for line in told.stdout.splitlines():
            says, hears = (bytes.fromhex(part) for part in line.split(':'))
            hears = re.sub(rb'\r\nDate: x+\r\n', b'\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n', hears)
            for reply in split_replies(hears, says.startswith(b'HEAD ')):
                found.setdefault((reply.data, reply.is_for_head), reply)
    assert len(found) > 25
    assert any(b'chunked' in reply.data for reply in found.values()) and any(reply.has_interim for reply in found.values())
    for reply in {reply.kind: reply for reply in found.values()}.values():
        reply.is_split = True
    return list(found.values())


def ways_of(reply):
    return [WHOLE, BYTES, *(range(1, len(reply.data)) if reply.is_split else ())]


class Player:
    """A server that says a script's bytes to whoever asks for /NUMBER/WAY."""

    def __init__(self, replies):
        self.replies, self.connections, self.problem = replies, 0, None
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.play, args=(sock,), daemon=True).start()

    def play(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got = b''
        try:
            with sock:
                while True:
                    while b'\r\n\r\n' not in got:
                        more = sock.recv(65536)
                        if not more:
                            return
                        got += more
                    head, _, got = got.partition(b'\r\n\r\n')
                    number, way = re.match(rb'(?:GET|HEAD) /(\d+)/(-?\d+) HTTP/1\.1\r\n', head).groups()
                    reply = self.replies[int(number)]
                    self.say(sock, reply.data, int(way))
                    if reply.closes:
                        sock.shutdown(socket.SHUT_WR)
                        while sock.recv(65536):
                            pass
                        return
        except OSError as problem:
            self.problem = problem

    @staticmethod
    def say(sock, data, way):
        if way == WHOLE:
            sock.sendall(data)
            return
        for part in [data[i:i + 1] for i in range(len(data))] if way == BYTES else (data[:way], data[way:]):
            sock.sendall(part)
            time.sleep(PAUSE)

    def end(self):
        self.listener.close()


@pytest.fixture
def player(replies):
    made = Player(replies)
    yield made
    made.end()


def asks_of(player, takes_interim=True):
    """(reply, URL) of every way of every reply."""
    return [(reply, 'http://127.0.0.1:%d/%d/%d' % (player.port, number, way))
            for number, reply in enumerate(player.replies) if takes_interim or not reply.has_interim
            for way in ways_of(reply)]  # fmt: skip


def check(player, asks, found, head_closes=False):
    """Was everything found as it is, over as few connections as the replies allow?"""
    assert len(found) == len(asks)
    for (reply, url), (status, body) in zip(asks, found):
        assert (status, body) == (reply.status, reply.body), (url, reply.data)
    assert player.problem is None
    assert player.connections == 1 + sum(reply.closes or (reply.is_for_head and head_closes) for reply, _ in asks[:-1])


def run(command, text):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=250 * SLOW)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def read_by_lines(player, command, is_undici=False):
    asks = asks_of(player, takes_interim=not is_undici)
    shown = run(command, ''.join('%s %s\n' % (reply.method, url) for reply, url in asks))
    found = [line.partition(' ') for line in shown.splitlines()]
    wrong = [(ask[0].data, line) for ask, line in zip(asks, found) if line[0] == 'error']
    assert not wrong, wrong[0]
    check(player, asks, [(int(status), bytes.fromhex(body)) for status, _, body in found], head_closes=is_undici)


def test_curl(player, tmp_path):
    asks = asks_of(player)
    lines = []
    for i, (reply, url) in enumerate(asks):
        lines += ['url = "%s"' % url, 'output = "%s/%d"' % (tmp_path, i), 'write-out = "%{http_code}\\n"', 'silent']
        lines += ['head'] if reply.is_for_head else []
        lines.append('next')
    statuses = run(['curl', '--disable', '--config', '-'], '\n'.join(lines[:-1])).split()
    bodies = [(tmp_path / str(i)).read_bytes() if (tmp_path / str(i)).exists() else b'' for i in range(len(asks))]
    bodies = [b'' if reply.is_for_head else body for (reply, _), body in zip(asks, bodies)]  # there it is the head
    check(player, asks, list(zip(map(int, statuses), bodies)))


def test_aiohttp(player):
    import aiohttp
    asks, found = asks_of(player), []

    async def read_all():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            for reply, url in asks:
                async with session.request(reply.method, url, allow_redirects=False) as answer:
                    found.append((answer.status, await answer.read()))

    asyncio.run(read_all())
    check(player, asks, found)


def test_httpx(player):
    import httpx
    asks = asks_of(player)
    with httpx.Client(trust_env=False, timeout=20 * SLOW, limits=httpx.Limits(max_connections=1)) as client:
        answers = [client.request(reply.method, url) for reply, url in asks]
    check(player, asks, [(answer.status_code, answer.content) for answer in answers])


@pytest.mark.parametrize('how', ['fetch', 'http'])
def test_node(player, how):
    """undici takes no 100 that it has not asked for, and leaves a connection after a HEAD."""
    read_by_lines(player, ['node', CLIENTS / 'reader.mjs', how], is_undici=how == 'fetch')


def test_go(player, tmp_path):
    program = tmp_path / 'reader'
    cache = os.environ.get('GOCACHE') or str(BUILD / 'go-cache')
    subprocess.run(['go', 'build', '-o', program, CLIENTS / 'reader.go'], check=True, timeout=250 * SLOW,
                   env={**os.environ, 'GO111MODULE': 'off', 'GOCACHE': cache, 'GOPROXY': 'off'})  # fmt: skip
    read_by_lines(player, [program])
