# SPDX-License-Identifier: MIT
"""The demo's rooms and events, with aiohttp."""

import asyncio
import signal
import time

import aiohttp


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
