# SPDX-License-Identifier: MIT
import asyncio


async def download():
    print('download: begun')
    await asyncio.sleep(0.06)
    print('download: done')
    return 42


async def run():
    task = asyncio.create_task(download())
    for i in (1, 2):
        print('other work', i)
        await asyncio.sleep(0.01)
    print('it came to', await task)


asyncio.run(run())
