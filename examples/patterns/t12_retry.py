# SPDX-License-Identifier: MIT
import asyncio
import errno
import random


async def fetch(attempt, works_at):
    print('try', attempt)
    await asyncio.sleep(0.005)
    if attempt < works_at:
        raise OSError(errno.ECONNREFUSED, 'Connection refused')
    return 42


async def retry(function, *args, tries=3, delay=0.01):
    for attempt in range(1, tries + 1):
        try:
            return await function(attempt, *args)
        except OSError:
            if attempt == tries:
                raise
            await asyncio.sleep(random.uniform(0, delay))
            delay *= 2


async def run():
    print('it came to', await retry(fetch, 3))
    try:
        await retry(fetch, 4)
    except OSError as error:
        print('it failed:', error.strerror)


asyncio.run(run())
