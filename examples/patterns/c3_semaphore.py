# SPDX-License-Identifier: MIT
import asyncio

now = most = done = 0


async def download(places):
    global now, most, done
    async with places:
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        done += 1


async def fetch_all():
    places = asyncio.Semaphore(3)
    await asyncio.gather(*(download(places) for _ in range(20)))
    print(f'{done} done, at most {most} at once')


asyncio.run(fetch_all())
