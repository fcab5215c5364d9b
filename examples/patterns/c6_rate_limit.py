# SPDX-License-Identifier: MIT
import asyncio
import time


class Rate:
    """A token bucket; asyncio has none."""

    def __init__(self, count, per, burst):
        self.interval, self.depth, self.full_at = per / count, per / count * burst, time.monotonic()
        self.lock = asyncio.Lock()

    async def take(self, n):
        async with self.lock:
            at = max(self.full_at, time.monotonic()) + n * self.interval - self.depth
            await asyncio.sleep(max(0, at - time.monotonic()))
            self.full_at = max(self.full_at, time.monotonic()) + n * self.interval


at_once = calls = 0


async def call(limit, start):
    global at_once, calls
    await limit.take(1)
    calls += 1
    at_once += time.monotonic() - start < 0.02


async def call_often():
    limit, start = Rate(50, 1, 5), time.monotonic()
    await asyncio.gather(*(call(limit, start) for _ in range(20)))
    print(f'{calls} calls, at most 5 at once:', 'yes' if at_once <= 5 else 'no')
    print('15 of them waited 20 ms each for a token:', 'yes' if time.monotonic() - start >= 0.299 else 'no')


asyncio.run(call_often())
