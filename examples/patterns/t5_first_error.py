# SPDX-License-Identifier: MIT
import asyncio
import errno


async def work(name):
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        print(f'{name}: cancelled')
        await asyncio.sleep(0.02)
        print(f'{name}: cleaned up')
        raise


async def fail():
    await asyncio.sleep(0.02)
    raise OSError(errno.ECONNREFUSED, 'Connection refused')


async def gather():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(work('a'))
            group.create_task(fail())
            group.create_task(work('b'))
    except* OSError as errors:
        print('all have ended:', errors.exceptions[0].strerror)


asyncio.run(gather())
