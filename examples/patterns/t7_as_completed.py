# SPDX-License-Identifier: MIT
import asyncio


async def fetch(index, delay):
    await asyncio.sleep(delay / 1000)
    return index, delay * 10


async def run():
    for ended in asyncio.as_completed([fetch(index, delay) for index, delay in enumerate((200, 100, 50))]):
        index, result = await ended
        print(f'task {index}: {result}')


asyncio.run(run())
