# SPDX-License-Identifier: MIT
import asyncio
import contextlib
import errno


@contextlib.asynccontextmanager
async def session(name):
    await asyncio.sleep(0.005)
    print(f'{name}: logged in')
    try:
        yield
    finally:
        await asyncio.sleep(0.005)
        print(f'{name}: logged out')


async def work(name, error=None):
    async with session(name):
        await asyncio.sleep(0.02)
        if error:
            raise error
        print(f'{name}: worked')


async def run():
    await work('Ada')
    print('Ada: success')
    try:
        await work('Ben', OSError(errno.EIO, 'Input/output error'))
    except OSError as error:
        print('Ben:', error.strerror)
    try:
        async with asyncio.timeout(0.015):
            await work('Cleo')
    except TimeoutError:
        print('Cleo: the deadline has passed')


asyncio.run(run())
