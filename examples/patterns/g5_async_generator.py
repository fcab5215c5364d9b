# SPDX-License-Identifier: MIT
import asyncio
import time


async def slow_range(count):
    for i in range(count):
        await asyncio.sleep(0.04)
        yield i


async def add_up(count):
    return sum([i async for i in slow_range(count)])


async def consume():
    async for i in slow_range(3):
        print('got', i)
    start = time.monotonic()
    sums = await asyncio.gather(*(add_up(count) for count in (3, 4, 5)))
    took = (time.monotonic() - start) * 1000
    print('sums:', *sums)
    print(f'three at once took {took:.0f} ms, less than one after the other:', 'yes' if 199 <= took < 480 else 'no')


asyncio.run(consume())
