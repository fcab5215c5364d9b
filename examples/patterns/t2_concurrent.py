# SPDX-License-Identifier: MIT
import asyncio
import time


async def make(dish, duration):
    print(f'{dish}: begun')
    await asyncio.sleep(duration / 10)
    print(f'{dish}: ready')


async def breakfast():
    start = time.monotonic()
    await asyncio.gather(make('coffee', 3), make('eggs', 2))
    took = (time.monotonic() - start) * 1000
    print(f'took {took:.0f} ms, less than 500:', 'yes' if 299 <= took < 500 else 'no')


asyncio.run(breakfast())
