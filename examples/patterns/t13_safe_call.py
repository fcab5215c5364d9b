# SPDX-License-Identifier: MIT
import asyncio
import errno
import logging


async def fetch_price(id):
    await asyncio.sleep(0.005)
    if id == 2:
        raise OSError(errno.ECONNREFUSED, 'Connection refused')
    return id * 100


async def safely(awaitable, otherwise):
    try:
        return await awaitable
    except Exception:
        logging.warning('%d is used', otherwise, exc_info=True)
        return otherwise


async def run():
    for id in range(1, 4):
        print(f'price of {id}:', await safely(fetch_price(id), -1))


asyncio.run(run())
