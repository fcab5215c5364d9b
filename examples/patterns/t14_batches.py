# SPDX-License-Identifier: MIT
import asyncio

now = most = total = 0


async def process(item, places):
    global now, most, total
    async with places:
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        total += item


async def run():
    places = asyncio.Semaphore(10)
    await asyncio.gather(*(process(item, places) for item in range(1000)))
    print(f'at most {most} at a time; 0 + 1 + ... + 999 = {total}')


asyncio.run(run())
