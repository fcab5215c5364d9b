# SPDX-License-Identifier: MIT
import asyncio


class Kitchen:
    def __init__(self):
        self.open = asyncio.Event()
        self.served = asyncio.Condition()
        self.plates = 0
        self.table = asyncio.Barrier(3)


async def dine(kitchen, name):
    await kitchen.open.wait()
    print(name, 'comes in')
    async with kitchen.served:
        while kitchen.plates == 0:
            await kitchen.served.wait()
        kitchen.plates -= 1
        print(name, 'has a plate')
    is_last = await kitchen.table.wait() == 2
    print(name, 'eats, and says: enjoy your meal' if is_last else 'eats')


async def serve(kitchen):
    await asyncio.sleep(0.01)
    print('the kitchen opens')
    kitchen.open.set()
    for _ in range(3):
        await asyncio.sleep(0.01)
        async with kitchen.served:
            kitchen.plates += 1
            kitchen.served.notify()


async def evening():
    kitchen = Kitchen()
    async with asyncio.TaskGroup() as group:
        for name in ('Ada', 'Ben', 'Cleo'):
            group.create_task(dine(kitchen, name))
        await serve(kitchen)


asyncio.run(evening())
