# SPDX-License-Identifier: MIT
import asyncio


async def save():
    await asyncio.sleep(0.02)
    print('work: saved')


async def work():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print('work: cancelled')
        await asyncio.wait_for(asyncio.shield(save()), 1)
        raise


async def run():
    task = asyncio.create_task(work())
    await asyncio.sleep(0.02)
    task.cancel()
    print('cancel is asked for')
    try:
        await task
    except asyncio.CancelledError:
        print('it has ended: cancelled')


asyncio.run(run())
