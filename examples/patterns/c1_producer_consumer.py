# SPDX-License-Identifier: MIT
import asyncio

PRODUCERS, CONSUMERS, ITEMS = 3, 2, 10
most = total = 0


async def produce(queue, first):
    global most
    for item in range(first, first + ITEMS):
        await queue.put(item)
        most = max(most, queue.qsize())


async def consume(queue):
    global total
    while (item := await queue.get()) is not None:
        total += item
        await asyncio.sleep(0.005)


async def market():
    queue = asyncio.Queue(10)
    async with asyncio.TaskGroup() as consumers:
        for _ in range(CONSUMERS):
            consumers.create_task(consume(queue))
        async with asyncio.TaskGroup() as producers:
            for i in range(PRODUCERS):
                producers.create_task(produce(queue, i * ITEMS))
        print(f'all are in; at most {most} waited at once')
        for _ in range(CONSUMERS):
            await queue.put(None)
    print(f'0 + 1 + ... + {PRODUCERS * ITEMS - 1} = {total}')


asyncio.run(market())
