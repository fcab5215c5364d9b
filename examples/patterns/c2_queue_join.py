# SPDX-License-Identifier: MIT
import asyncio

done = 0


async def work(queue, number):
    global done
    try:
        while True:
            milliseconds = await queue.get()
            await asyncio.sleep(milliseconds / 1000)
            done += 1
            queue.task_done()
    except asyncio.CancelledError:
        print(f'worker {number}: cancelled')
        raise


async def shop():
    queue = asyncio.Queue(20)
    workers = [asyncio.create_task(work(queue, i)) for i in range(1, 4)]
    for i in range(1, 21):
        await queue.put(i)
    await queue.join()
    print(f'{done} of 20 are done, {queue.qsize()} are left')
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


asyncio.run(shop())
