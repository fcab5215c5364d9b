# SPDX-License-Identifier: MIT
import asyncio

import websockets

members = set()


async def broadcast(me):
    members.add(me)
    try:
        async for message in me:
            websockets.broadcast(members, message)
    finally:
        members.remove(me)


async def hear(name, client):
    print(f'{name} hears: {await client.recv()}')


async def meet(url):
    ada, bob, cy = [await websockets.connect(url, compression=None) for _ in range(3)]
    while len(members) < 3:
        await asyncio.sleep(0.001)
    await ada.send('hello')
    for name, client in ('Ada', ada), ('Bob', bob), ('Cy', cy):
        await hear(name, client)
    await bob.close()
    while len(members) > 2:
        await asyncio.sleep(0.001)
    await cy.send('where is Bob?')
    for name, client in ('Ada', ada), ('Cy', cy):
        await hear(name, client)
        await client.close()


async def run():
    async with websockets.serve(broadcast, '127.0.0.1', 0) as server:
        await meet(f'ws://127.0.0.1:{server.sockets[0].getsockname()[1]}')


asyncio.run(run())
