# SPDX-License-Identifier: MIT
import asyncio
import time


async def fetch(delay):
    await asyncio.sleep(delay)
    return 42


async def run():
    start = time.monotonic()
    print('fast:', await asyncio.wait_for(fetch(0.01), timeout=1))
    try:
        print('slow:', await asyncio.wait_for(fetch(3600), timeout=0.05))
    except TimeoutError:
        print('slow: the deadline has passed')
    print('at its deadline:', 'yes' if time.monotonic() - start < 1 else 'no')


asyncio.run(run())
