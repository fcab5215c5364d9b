# SPDX-License-Identifier: MIT
import asyncio


async def fetch(delay):
    try:
        await asyncio.sleep(delay / 1000)
    except asyncio.CancelledError:
        print(f'{delay}: cancelled')
        raise
    print(f'{delay}: done')
    return delay


async def run():
    race = [asyncio.create_task(fetch(delay)) for delay in (200, 50, 100)]
    done, pending = await asyncio.wait(race, return_when=asyncio.FIRST_COMPLETED)
    print('the first:', done.pop().result())
    for task in sorted(pending, key=race.index):
        task.cancel()
    await asyncio.wait(pending)
    await asyncio.wait([asyncio.create_task(fetch(delay)) for delay in (200, 50, 100)])
    print('all are done')


asyncio.run(run())
