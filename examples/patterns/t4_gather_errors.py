# SPDX-License-Identifier: MIT
import asyncio
import errno


async def fetch(id):
    await asyncio.sleep((6 - id) / 100)
    if id % 2 == 0:
        raise OSError(errno.ECONNREFUSED, 'Connection refused')
    return id * 10


async def gather():
    outcomes = await asyncio.gather(*(fetch(id) for id in range(1, 6)), return_exceptions=True)
    for id, outcome in enumerate(outcomes, 1):
        print(f'{id}:', outcome.strerror if isinstance(outcome, OSError) else outcome)


asyncio.run(gather())
