# SPDX-License-Identifier: MIT
import asyncio
import time


def collatz(n):
    steps = 0
    while n != 1:
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
    return steps


async def crunch():
    longest, n, until = 0, 1, time.monotonic() + 1
    while time.monotonic() < until:
        longest, n = max(longest, collatz(n)), n + 1
    return longest


async def tick():
    ticks = 0
    for _ in range(10):
        await asyncio.sleep(0.001)
        ticks += 1
    return ticks


async def run():
    ticks, longest = await asyncio.gather(tick(), crunch())
    print(ticks, 'ticks, and chains of', 'hundreds of' if longest > 100 else 'few', 'steps')


asyncio.run(run(), debug=True)  # logs: Executing <Task ... coro=<crunch() ...> took 1.000 seconds
