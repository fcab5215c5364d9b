# SPDX-License-Identifier: MIT
import asyncio


async def fetch(delay):
    await asyncio.sleep(delay / 1000)
    print(delay, 'has ended')
    return delay * 10


async def gather():
    results = await asyncio.gather(fetch(200), fetch(50), fetch(100))
    print('results:', *results)


asyncio.run(gather())
