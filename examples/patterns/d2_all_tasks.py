# SPDX-License-Identifier: MIT
import asyncio
import collections


async def bake(oven):
    async with oven:
        await asyncio.sleep(10)


async def wash(dishes):
    await dishes.get()


def where(task):
    frame = task.get_stack()[-1]
    return f'{task.get_coro().__name__}, suspended in line {frame.f_lineno}'


async def run():
    oven, dishes = asyncio.Lock(), asyncio.Queue(10)
    kitchen = [asyncio.create_task(bake(oven)) for _ in range(2)]
    kitchen += [asyncio.create_task(wash(dishes)) for _ in range(100)]
    await asyncio.sleep(0.1)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for line, count in sorted(collections.Counter(map(where, others)).items()):
        print(count, 'x', line)
    for task in kitchen:
        task.cancel()
    await asyncio.gather(*kitchen, return_exceptions=True)


asyncio.run(run())
