# SPDX-License-Identifier: MIT
"""The demo's rooms and events with aiohttp, and the first step of the chat's tutorial in two terminals."""

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
import time

import aiohttp
import pytest


class Terminal:
    """Where a person runs the client that docs/chat.md names."""

    def __init__(self, url):
        self.screen, inside = pty.openpty()
        self.client = subprocess.Popen([sys.executable, '-m', 'websockets', url], stdin=inside, stdout=inside, stderr=inside)
        os.close(inside)
        self.shown = ''

    def type(self, text):
        os.write(self.screen, text.encode())

    def wait_for(self, text, seconds=30):
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert select.select([self.screen], [], [], max(0, end - time.monotonic()))[0], self.shown
            self.shown += os.read(self.screen, 4096).decode()

    def close(self):
        self.client.kill()
        self.client.wait()
        os.close(self.screen)


@pytest.fixture
def open_terminal():
    terminals = []

    def open_one(url):
        terminals.append(Terminal(url))
        return terminals[-1]

    yield open_one
    for one in terminals:
        one.close()


def test_two_terminals_as_the_tutorial_has_them(start, open_terminal):
    server = start('broadcast', '--listen', '127.0.0.1:0')
    first, second = (open_terminal('ws://localhost:%d/ws/chat/tea' % server.port) for _ in range(2))
    for one in (first, second):
        one.wait_for('Connected to ')
    first.type('hello\n')
    for one in (first, second):
        one.wait_for('< hello')
    second.type('\x04')
    second.wait_for('Connection closed: 1000')


def test_everybody_in_the_room_hears_it_as_it_was_said(demo):
    async def chat():
        async with aiohttp.ClientSession() as session:
            rooms = ['a', 'a', 'a', 'b']
            sockets = [await session.ws_connect('%s/ws/chat/%s' % (demo.url, room)) for room in rooms]
            for n in range(50):
                for i, socket in enumerate(sockets):
                    await socket.send_str('%d says %d \u00e4\u20ac' % (i, n))
            for room in set(rooms):
                inside = [i for i, each in enumerate(rooms) if each == room]
                heard = [[await sockets[i].receive_str(timeout=20) for _ in range(50 * len(inside))] for i in inside]
                assert all(each == heard[0] for each in heard)  # in one order
                for i in inside:
                    mine = [text for text in heard[0] if text.startswith('%d ' % i)]
                    assert mine == ['%d says %d \u00e4\u20ac' % (i, n) for n in range(50)]
            await sockets[0].send_bytes(b'\0\1')
            assert await sockets[1].receive_bytes(timeout=20) == b'\0\1'
            for socket in sockets:
                await socket.close()

    asyncio.run(chat())


def test_events_go_on_after_the_last_and_end_with_a_hint(demo):
    async def listen():
        async with aiohttp.ClientSession() as session:
            async with session.get(demo.url + '/events', headers={'Last-Event-ID': '41'}) as reply:
                assert reply.status == 200 and reply.content_type == 'text/event-stream'
                text = b''
                while b'43' not in text:
                    text += await reply.content.read(1000)
                demo.send(signal.SIGTERM)
                rest = await reply.content.read()  # to an orderly end
            return (text + rest).decode()

    began = time.monotonic()
    text = asyncio.run(listen())
    assert text.startswith('id: 42\nevent: tick\ndata: tick 42\n\nid: 43\n') and 'retry: ' in text.split('\n\n')[-2]
    assert demo.wait() == 0 and time.monotonic() - began < 15
