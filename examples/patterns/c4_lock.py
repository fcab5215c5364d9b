# SPDX-License-Identifier: MIT
import asyncio

values = {'locked': 0, 'unlocked': 0}


async def add_one(name):
    value = values[name]
    await asyncio.sleep(0.001)
    values[name] = value + 1


async def add_ten(lock):
    for _ in range(10):
        async with lock:
            await add_one('locked')


async def add_ten_unlocked():
    for _ in range(10):
        await add_one('unlocked')


async def count():
    lock = asyncio.Lock()
    await asyncio.gather(*(add_ten(lock) for _ in range(5)), *(add_ten_unlocked() for _ in range(5)))
    print('with a lock:', values['locked'])
    print('without:', 'fewer' if values['unlocked'] < 50 else 'as many, by luck')


asyncio.run(count())
