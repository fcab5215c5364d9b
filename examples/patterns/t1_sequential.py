# SPDX-License-Identifier: MIT
import asyncio
import time


async def fetch(id, delay):
    await asyncio.sleep(delay)
    return id * 10


async def run():
    start = time.monotonic()
    first = await fetch(1, 0.03)
    second = await fetch(2, 0.02)
    print(first, 'and', second)
    print('at least the sum:', 'yes' if time.monotonic() - start >= 0.05 else 'no')


asyncio.run(run())
